#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "core/error.hpp"
#include "core/stream/pass_options.hpp"
#include "core/stream/passes.hpp"
#include "core/stream/values.hpp"

namespace truetile {
namespace {

// The next plan is smaller by at least one part in so many; once there is none, twice as many.
constexpr std::int64_t kStep = 12;
constexpr std::int64_t kLastStep = 16 * kStep;

/// Only a base, a value that alone is enough to go on from, starts a span of passes; inside a span
/// everything is made again from its start, except that the middle of a residual block may be
/// stored. So spans do not depend on each other, and the fastest plan within some memory is a
/// shortest path.
class Planner {
 public:
  Planner(const Layers& layers, const Size& clip, std::int64_t elem_bytes, const Speed& speed)
      : layers_(layers),
        clip_(clip),
        elem_bytes_(elem_bytes),
        sizes_(value_sizes(layers, clip)),
        targets_(pass_targets(layers)),
        clean_(clean_cuts(layers)),
        options_(layers, sizes_, elem_bytes, speed) {
    const auto count = static_cast<std::int64_t>(layers.size());
    stored_.insert(count);
    // Both sides of an attention are stored, so that no pass repeats it.
    for (std::int64_t index = 0; index < count; ++index) {
      const StreamLayer& layer = layers[static_cast<std::size_t>(index)];
      if (!layer.attends()) continue;
      const bool alone = clean(layer.source) && clean(index + 1);
      require(alone, "source", text(layer.source),
              text("the only value read behind it (layer ", index, ")"));
      stored_.insert({layer.source, index + 1});
    }
    bases_.push_back(0);
    for (std::int64_t value = 1; value < count; ++value) {
      const bool target = std::binary_search(targets_.begin(), targets_.end(), value);
      if (clean(value) && (target || resamples(value))) bases_.push_back(value);
    }
    bases_.push_back(count);
    for (std::size_t index = 0; index < layers.size(); ++index) {
      const auto& [t, h, w, c] = sizes_[index + 1];
      const double macs = layer_macs(layers[index], layers[index].tokens(sizes_[index + 1])) *
                          static_cast<double>(t * w) * static_cast<double>(c) *
                          static_cast<double>(h);
      work_.push_back(work_.back() + macs / speed.macs);
    }
  }

  /// The fastest plan within `room` bytes: a shortest path through the bases.
  [[nodiscard]] std::optional<StreamPlan> fastest(std::int64_t room) {
    std::map<std::int64_t, StreamPlan> best = {{0, StreamPlan{}}};
    for (std::size_t to = 1; to < bases_.size(); ++to) {
      const std::int64_t end = bases_[to];
      for (std::size_t from = to; from-- > 0;) {
        const std::int64_t start = bases_[from];
        if (best.contains(start)) improve(best, start, end, room);
        if (stored_.contains(start)) break;
      }
    }
    const auto found = best.find(static_cast<std::int64_t>(layers_.size()));
    return found == best.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  void improve(std::map<std::int64_t, StreamPlan>& best, std::int64_t start, std::int64_t end,
               std::int64_t room) {
    const StreamPlan& so_far = best.at(start);
    const auto known = best.find(end);
    double limit = std::numeric_limits<double>::infinity();
    if (known != best.end()) limit = known->second.seconds - so_far.seconds;
    std::optional<StreamPlan> span;
    for (const std::vector<Segment>& passes : ways(start, end)) {
      std::optional<StreamPlan> one = run(passes, start, room, limit);
      if (!one) continue;
      limit = one->seconds;
      span = std::move(one);
    }
    if (!span) return;
    StreamPlan plan = so_far;
    plan.segments.insert(plan.segments.end(), span->segments.begin(), span->segments.end());
    plan.bytes = std::max(so_far.bytes, span->bytes);
    plan.seconds = so_far.seconds + span->seconds;
    best[end] = std::move(plan);
  }

  /// The passes by which one base may be made from another.
  [[nodiscard]] std::vector<std::vector<Segment>> ways(std::int64_t start, std::int64_t end) const {
    std::vector<Segment> repeated;
    for (const std::int64_t value : targets_) {
      if (value > start && value < end) repeated.push_back({start, value, 0, 0, false});
    }
    std::vector<std::vector<Segment>> found;
    if (repeated.size() == 1 && !clean(repeated[0].last)) {
      const std::int64_t middle = repeated[0].last;
      const std::set<std::int64_t> reads = outside_reads(layers_, {middle, end});
      if (std::all_of(reads.begin(), reads.end(), [start, middle](std::int64_t value) {
            return value == start || value == middle;
          })) {
        found.push_back({{start, middle}, {middle, end}});
      }
    }
    repeated.push_back({start, end});
    found.push_back(std::move(repeated));
    return found;
  }

  /// Those passes with the tallest strips that fit, in less than `limit` seconds.
  [[nodiscard]] std::optional<StreamPlan> run(const std::vector<Segment>& passes,
                                              std::int64_t start, std::int64_t room, double limit) {
    std::int64_t stores = store(start);
    StreamPlan span;
    double least = 0;
    for (const Segment& one : passes) {
      least +=
          work_[static_cast<std::size_t>(one.last)] - work_[static_cast<std::size_t>(one.first)];
    }
    if (stores >= room || least >= limit) return std::nullopt;
    for (std::size_t at = 0; at < passes.size(); ++at) {
      const Segment& one = passes[at];
      const bool over = at + 1 == passes.size() && overwrites(one, start);
      if (one.keep && !over) stores += store(one.last);
      const PassOption* option = options_.fastest(one, room - stores);
      if (option == nullptr || !(span.seconds + option->seconds < limit)) return std::nullopt;
      span.segments.push_back(option->segment);
      span.segments.back().over = over ? start : -1;
      span.bytes = std::max(span.bytes, stores + option->bytes);
      span.seconds += option->seconds;
    }
    return span;
  }

  [[nodiscard]] bool overwrites(const Segment& one, std::int64_t value) {
    const auto key = std::make_tuple(one.first, one.last, value);
    const auto known = overwrites_.find(key);
    if (known != overwrites_.end()) return known->second;
    return overwrites_[key] = may_overwrite(layers_, clip_, one, value);
  }

  [[nodiscard]] std::int64_t store(std::int64_t value) const {
    if (value == 0 || value == static_cast<std::int64_t>(layers_.size())) return 0;
    return store_bytes(sizes_[static_cast<std::size_t>(value)], elem_bytes_);
  }

  [[nodiscard]] bool clean(std::int64_t value) const {
    return clean_[static_cast<std::size_t>(value)];
  }

  [[nodiscard]] bool resamples(std::int64_t value) const {
    const StreamLayer& layer = layers_[static_cast<std::size_t>(value)];
    return layer.rows.up > 1 || layer.rows.stride > 1 || layer.time_rule != TimeRule::kSame;
  }

  const Layers& layers_;
  const Size clip_;
  std::int64_t elem_bytes_;
  std::vector<Size> sizes_;
  std::vector<std::int64_t> targets_;
  std::vector<bool> clean_;
  std::vector<double> work_ = {0.0};  // seconds up to each layer, at the full rate
  std::set<std::int64_t> stored_;
  std::vector<std::int64_t> bases_;
  PassOptions options_;
  std::map<std::tuple<std::int64_t, std::int64_t, std::int64_t>, bool> overwrites_;
};

}  // namespace

std::vector<StreamPlan> pass_plans(const Layers& layers, const Size& clip, std::int64_t elem_bytes,
                                   const Speed& speed) {
  Planner planner(layers, clip, elem_bytes, speed);
  std::vector<StreamPlan> plans;
  std::int64_t room = std::int64_t{1} << 60;
  for (std::int64_t step = kStep; step <= kLastStep;) {
    const std::optional<StreamPlan> plan = planner.fastest(room);
    if (plan) {
      if (!plans.empty() && plan->seconds <= plans.back().seconds) plans.pop_back();
      plans.push_back(*plan);
    } else {
      step *= 2;
    }
    const std::int64_t bytes = plans.back().bytes;
    room = bytes - std::max<std::int64_t>(1, bytes / step);
  }
  return plans;
}

}  // namespace truetile
