#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "core/error.hpp"
#include "core/ladder.hpp"

namespace truetile::testing {

struct Problem {
  Triple extent{};
  Scales scales;
  LadderOptions options;
  CostModel cost{.bytes_per_pixel = 1.0};
  std::int64_t start_rung = 0;

  [[nodiscard]] Ladder ladder() const { return {extent, scales, options, cost, start_rung}; }
};

/// An executor that blends weights instead of pixels. It knows nothing of how the ladder works,
/// only what a Step promises, and checks each promise.
class Oracle {
 public:
  explicit Oracle(const Problem& problem) : problem_(problem) {
    std::size_t size = 1;
    for (std::size_t axis = 0; axis < 3; ++axis) {
      const bool latents = problem.options.encode;
      canvas_[axis] =
          latents ? problem.extent[axis] : problem.scales[axis].pixels(problem.extent[axis]);
      size *= static_cast<std::size_t>(canvas_[axis]);
    }
    total_.assign(size, 0.0);
    final_.assign(size, false);
  }

  [[nodiscard]] std::int64_t finals() const { return finals_; }
  [[nodiscard]] std::int64_t latents() const { return latents_; }
  [[nodiscard]] bool complete() const {
    return std::all_of(final_.begin(), final_.end(), [](bool is) { return is; });
  }

  /// What must hold before the call.
  void issued(const Step& step) {
    ASSERT_EQ(step.id, next_id_++);
    ASSERT_EQ(step.depth + 1, static_cast<std::int64_t>(step.levels.size()));
    ASSERT_EQ(step.rung, step.levels.back().rung);
    check_levels(step);
    check_spans(step);
    check_cache(step);
  }

  /// Blends the weights of a finished call.
  void done(const Step& step) {
    std::array<Ramp, 3> ramps;
    for (std::size_t axis = 0; axis < 3; ++axis) ramps[axis] = project(step, axis);
    add(ramps);
    if (HasFatalFailure()) return;
    latents_ += volume(step.latent);
    const Level& own = step.levels.back();
    ASSERT_TRUE(finished_.insert({own.frame, own.index}).second) << "issued again: " << step.id;
    if (problem_.options.carried) {
      caches_.erase(caches_.upper_bound(step.depth), caches_.end());
      caches_[step.depth] = {step.latent[1], step.latent[2], step.latent[0].end};
    }
  }

 private:
  struct Ramp {
    std::int64_t begin = 0;
    std::vector<double> weights;  // of the whole output, from `begin` on
    Span final;                   // what no later call touches
  };
  struct Cache {
    Span y, x;
    std::int64_t next = 0;  // latent it goes on with
  };

  static bool HasFatalFailure() { return ::testing::Test::HasFatalFailure(); }

  void check_levels(const Step& step) {
    for (std::size_t depth = 0; depth < step.levels.size(); ++depth) {
      const Level& level = step.levels[depth];
      const bool own = depth + 1 == step.levels.size();
      for (std::size_t axis = 0; axis < 3; ++axis) {
        const AxisTile& tile = level.axes[axis];
        ASSERT_LE(tile.lead, level.max_zone[axis]);
        ASSERT_LE(tile.tail, level.max_zone[axis]);
        ASSERT_LT(level.index[axis], level.count[axis]);
        ASSERT_TRUE(tile.use.length() <= level.max_use[axis] || (!own && axis == 0));
        if (own) continue;
        // The child's box is the tile, its canvas what the tile produces.
        const Level& child = step.levels[depth + 1];
        ASSERT_EQ(child.box[axis], tile.latent.shifted(level.box[axis].begin));
        ASSERT_EQ(child.size[axis], tile.out.length());
        ASSERT_GT(child.rung, level.rung);
        ASSERT_TRUE(axis > 0 || tile.out.end == level.size[axis]);
      }
    }
    const Level& own = step.levels.back();
    ASSERT_EQ(step.starts_tile, own.index[0] == 0);
    ASSERT_EQ(step.last_in_tile, own.index[0] + 1 == own.count[0]);
    ASSERT_EQ(step.levels[0].size, canvas_);
  }

  void check_spans(const Step& step) {
    const bool carried = problem_.options.carried;
    for (std::size_t axis = 0; axis < 3; ++axis) {
      const Level& own = step.levels.back();
      const AxisTile& tile = own.axes[axis];
      ASSERT_EQ(step.latent[axis], tile.latent.shifted(own.box[axis].begin));
      ASSERT_GT(step.latent[axis].length(), 0);
      ASSERT_LE(step.latent[axis].end, problem_.extent[axis]);
      // Down the stack to the whole output: `out` lies where the call's pixels belong.
      Span out = tile.out;
      for (std::size_t depth = step.levels.size() - 1; depth-- > 0;) {
        out = out.shifted(step.levels[depth].axes[axis].out.begin);
      }
      ASSERT_EQ(out, problem_.options.encode ? step.latent[axis] : step.pixel[axis]);
      const AxisScale scale = problem_.scales[axis];
      ASSERT_EQ(step.pixel[axis], scale.span(step.latent[axis], carried && axis == 0));
      const bool alone = axis == 0 && scale.causal() && !carried;
      ASSERT_GE(tile.latent.length(), alone ? std::min<std::int64_t>(2, problem_.extent[0]) : 1);
    }
    ASSERT_EQ(step.first_in_time, step.latent[0].begin == 0);
  }

  void check_cache(const Step& step) {
    const bool continues = problem_.options.carried && step.latent[0].begin > 0;
    ASSERT_EQ(step.cache_depth >= 0, continues);
    ASSERT_LE(step.cache_depth, step.depth);
    ASSERT_EQ(step.inherits_cache, continues && step.cache_depth < step.depth);
    if (!continues) return;
    ASSERT_TRUE(!step.starts_tile || step.inherits_cache);
    ASSERT_EQ(caches_.count(step.cache_depth), 1U);
    const Cache& cache = caches_[step.cache_depth];
    ASSERT_EQ(cache.next, step.latent[0].begin);
    ASSERT_EQ(step.cache_crop[0].shifted(cache.y.begin), step.latent[1]);
    ASSERT_EQ(step.cache_crop[1].shifted(cache.x.begin), step.latent[2]);
    ASSERT_LE(step.latent[1].end, cache.y.end);
    ASSERT_LE(step.latent[2].end, cache.x.end);
  }

  /// The weights of one axis of a step through all depths, in coordinates of the whole output.
  static Ramp project(const Step& step, std::size_t axis) {
    const AxisTile& own = step.levels.back().axes[axis];
    Ramp ramp{own.use.begin, axis_weights(own), own.final()};
    for (std::size_t depth = step.levels.size() - 1; depth-- > 0;) {
      const AxisTile& outer = step.levels[depth].axes[axis];
      const std::vector<double> weights = axis_weights(outer);
      ramp.begin += outer.out.begin;
      for (std::size_t i = 0; i < ramp.weights.size(); ++i) {
        const std::int64_t at = ramp.begin + static_cast<std::int64_t>(i) - outer.use.begin;
        const bool used = at >= 0 && at < outer.use.length();
        ramp.weights[i] *= used ? weights[static_cast<std::size_t>(at)] : 0.0;
      }
      ramp.final = ramp.final.shifted(outer.out.begin);
      ramp.final.begin = std::max(ramp.final.begin, outer.final().begin);
      ramp.final.end = std::max(ramp.final.begin, std::min(ramp.final.end, outer.final().end));
    }
    return ramp;
  }

  void add(const std::array<Ramp, 3>& ramps) {
    const auto length = [&](std::size_t axis) {
      return static_cast<std::int64_t>(ramps[axis].weights.size());
    };
    const auto at = [](const Ramp& ramp, std::int64_t i) {
      return ramp.weights[static_cast<std::size_t>(i)];
    };
    for (std::int64_t t = 0; t < length(0); ++t) {
      for (std::int64_t y = 0; y < length(1); ++y) {
        for (std::int64_t x = 0; x < length(2); ++x) {
          const double weight = at(ramps[0], t) * at(ramps[1], y) * at(ramps[2], x);
          if (weight == 0.0) continue;
          const std::size_t pixel =
              index(ramps[0].begin + t, ramps[1].begin + y, ramps[2].begin + x);
          ASSERT_FALSE(final_[pixel]) << "a pixel that was final is touched again";
          total_[pixel] += weight;
        }
      }
    }
    for (std::int64_t t = ramps[0].final.begin; t < ramps[0].final.end; ++t) {
      for (std::int64_t y = ramps[1].final.begin; y < ramps[1].final.end; ++y) {
        for (std::int64_t x = ramps[2].final.begin; x < ramps[2].final.end; ++x) {
          const std::size_t pixel = index(t, y, x);
          ASSERT_FALSE(final_[pixel]);
          ASSERT_NEAR(total_[pixel], 1.0, 1e-9);
          final_[pixel] = true;
          ++finals_;
        }
      }
    }
  }

  [[nodiscard]] std::size_t index(std::int64_t t, std::int64_t y, std::int64_t x) const {
    return static_cast<std::size_t>((t * canvas_[1] + y) * canvas_[2] + x);
  }

  Problem problem_;
  Triple canvas_{};
  std::vector<double> total_;
  std::vector<bool> final_;
  std::set<std::tuple<std::int64_t, Triple>> finished_;
  std::map<std::int64_t, Cache> caches_;  // by depth
  std::int64_t finals_ = 0;
  std::int64_t latents_ = 0;
  std::int64_t next_id_ = 0;
};

struct Outcome {
  std::int64_t steps = 0;
  std::int64_t failures = 0;  // steps that ran out of memory and went on
  bool exhausted = false;     // at least once no smaller rung was left
};

/// Runs a ladder to its end. `fails(step)` says which calls run out of memory; one that the ladder
/// cannot make smaller is then let through, so that the rest is checked too.
template <typename Fails>
Outcome run(const Problem& problem, const Fails& fails) {
  Ladder ladder = problem.ladder();
  Oracle oracle(problem);
  Outcome outcome;
  const auto bad = [] { return ::testing::Test::HasFatalFailure(); };
  while (const auto step = ladder.next()) {
    ++outcome.steps;
    oracle.issued(*step);
    if (bad()) return outcome;
    EXPECT_EQ(step->rung, ladder.deepest_rung());
    if (fails(*step)) {
      try {
        ladder.out_of_memory(*step);
        ++outcome.failures;
        EXPECT_GT(ladder.deepest_rung(), step->rung);
        continue;
      } catch (const LadderExhausted&) {
        outcome.exhausted = true;  // changes nothing: the step is still open
      }
    }
    ladder.done(*step);
    oracle.done(*step);
    if (bad()) return outcome;
    EXPECT_EQ(ladder.finished_pixels(), oracle.finals());
  }
  EXPECT_TRUE(oracle.complete());
  EXPECT_EQ(ladder.finished_pixels(), ladder.total_pixels());
  EXPECT_EQ(ladder.computed_latents(), oracle.latents());
  EXPECT_FALSE(ladder.next().has_value());
  std::int64_t done = 0, failed = 0, issued = 0;
  for (const RungCount& count : ladder.counts()) {
    done += count.done;
    failed += count.out_of_memory;
    issued += count.issued;
  }
  EXPECT_EQ(issued, outcome.steps);
  EXPECT_EQ(failed, outcome.failures);
  EXPECT_EQ(done + failed, issued);
  return outcome;
}

}  // namespace truetile::testing
