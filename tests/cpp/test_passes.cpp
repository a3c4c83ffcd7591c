// Passes of programs with group norms: the same cells as the whole program in the memory planned.
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "core/error.hpp"
#include "core/stream/passes.hpp"
#include "core/stream/plan.hpp"
#include "core/stream/values.hpp"
#include "stream_executor.hpp"
#include "stream_programs.hpp"

namespace truetile {
namespace {

using testing::Cell;
using testing::Executor;
using testing::Plane;
using testing::ProgramMaker;
using testing::Random;

struct Case {
  Layers layers;
  Size clip = {};
  std::vector<Plane> whole;
};

Case random_case(Random& random) {
  ProgramMaker maker(random);
  Case made;
  const bool decoding = random.one_in(2);
  const bool attention = random.one_in(2);
  made.layers = maker.with_norms(decoding ? maker.decoder(attention) : maker.encoder(attention));
  if (random.one_in(3)) made.layers = ProgramMaker::going_on(made.layers);
  const std::int64_t rows = decoding ? random.in(1, 9) : random.in(8, 40);
  made.clip = {maker.frames_for(made.layers), rows, decoding ? 1 : 8, 1};
  Plane input(made.clip[0], made.clip[1]);
  for (auto& cell : input.cells) cell = static_cast<Cell>(random.in(1, 1LL << 60));
  made.whole = run_whole(made.layers, input);
  return made;
}

/// Runs segments one after the other as the engine does, and counts the bytes of stores.
struct Machine {
  std::vector<Plane> values;
  std::vector<Cell> moments;
  std::map<std::int64_t, std::int64_t> live = {};
  std::int64_t peak = 0;

  explicit Machine(const Case& one)
      : values(one.whole.size()), moments(one.whole.size(), Cell{0xbad}) {
    values[0] = one.whole[0];
    moments[0] = total(values[0]);
  }

  void run(const Case& one, const std::vector<Segment>& segments) {
    for (std::size_t at = 0; at < segments.size(); ++at) {
      const Segment& segment = segments[at];
      const auto target = static_cast<std::size_t>(segment.last);
      const Schedule schedule(one.layers, one.clip, segment, 8);
      const Plane& made = one.whole[target];
      if (segment.keep) values[target] = Plane(made.frames, made.rows);
      if (segment.over >= 0) {
        live.erase(segment.over);
        ASSERT_EQ(live.count(segment.last), 0U);
      }
      if (segment.keep && target < one.layers.size()) {
        live[segment.last] = store_bytes(schedule.sizes()[target], 8);
      }
      Executor executor(schedule, values, moments);
      executor.run();
      moments[target] = executor.moments();
      std::int64_t bytes = executor.peak();
      for (const auto& [value, size] : live) bytes += size;
      peak = std::max(peak, bytes);
      ASSERT_EQ(executor.made().back(), made.frames * made.rows);
      drop(one.layers, segments, at + 1);
    }
  }

  /// What no later segment reads is gone, and reading it is an error.
  void drop(const Layers& layers, const std::vector<Segment>& segments, std::size_t from) {
    for (std::size_t value = 1; value < layers.size(); ++value) {
      const auto index = static_cast<std::int64_t>(value);
      bool read = false;
      for (std::size_t at = from; at < segments.size(); ++at) {
        read = read || outside_reads(layers, segments[at]).contains(index);
      }
      if (read) continue;
      values[value] = Plane();
      live.erase(index);
    }
  }
};

TEST(Passes, WhateverIsStoredTheResultIsTheSame) {
  Random random(1);
  std::int64_t repeated = 0;
  std::int64_t overwritten = 0;
  for (int round = 0; round < 400; ++round) {
    const Case one = random_case(random);
    std::vector<std::int64_t> stored;
    for (const std::int64_t target : pass_targets(one.layers)) {
      if (random.one_in(2)) stored.push_back(target);
    }
    const std::int64_t rows = random.in(1, one.whole.back().rows);
    std::vector<Segment> passes = make_passes(one.layers, one.clip, stored, rows);
    for (Segment& pass : passes) {
      if (!has_attention(one.layers, pass.first, pass.last)) pass.chunk = random.in(0, 3);
      repeated += pass.keep ? 0 : 1;
      overwritten += pass.over >= 0 ? 1 : 0;
    }
    SCOPED_TRACE(text("round ", round, " rows ", rows));
    Machine machine(one);
    ASSERT_NO_FATAL_FAILURE(machine.run(one, passes));
    ASSERT_EQ(machine.values.back().cells, one.whole.back().cells);
    ASSERT_EQ(machine.peak, plan_bytes(one.layers, one.clip, passes, 8));
  }
  EXPECT_GT(repeated, 100);
  EXPECT_GT(overwritten, 100);
}

TEST(Passes, EachPlanOfThePlannerRunsInTheBytesItNames) {
  Random random(2);
  for (int round = 0; round < 60; ++round) {
    const Case one = random_case(random);
    const std::vector<StreamPlan> plans = candidates(one.layers, one.clip, 8);
    ASSERT_FALSE(plans.empty());
    for (std::size_t i = 0; i < plans.size(); ++i) {
      SCOPED_TRACE(text("round ", round, " ", plans[i].describe()));
      if (i > 0) {
        ASSERT_GE(plans[i].seconds, plans[i - 1].seconds);
        ASSERT_LT(plans[i].bytes, plans[i - 1].bytes);
      }
      Machine machine(one);
      ASSERT_NO_FATAL_FAILURE(machine.run(one, plans[i].segments));
      ASSERT_EQ(machine.values.back().cells, one.whole.back().cells);
      ASSERT_EQ(machine.peak, plans[i].bytes);
    }
    EXPECT_THROW((void)choose_plan(plans, plans.back().bytes - 1), BudgetError);
  }
}

TEST(Passes, ErrorsNameTheLayer) {
  Layers layers(2);
  layers[1].source = 1;
  layers[1].in_channels = layers[0].out_channels = 6;
  const auto message = [&layers] {
    try {
      (void)value_sizes(layers, {1, 4, 4, 1});
    } catch (const InvalidArgument& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(message(), "");
  layers[1].groups = 4;
  EXPECT_EQ(message(), "groups=4: must be a divisor of in_channels=6 (layer 1)");
  layers[1].groups = 7;
  EXPECT_EQ(message(), "groups=7: must be in [0, 6] (layer 1)");
  layers[1].groups = 0;
  layers[1].time_rule = TimeRule::kHalveAll;
  EXPECT_EQ(
      message(),
      "time_rule=HALVE_ALL: must be SAME unless a padded convolution with kernel_t=3 (layer 1)");
  layers[1].kernel_t = 3;
  EXPECT_EQ(message(), "frames=0: must be in [1, 16777216] (layer 1)");
}

TEST(Passes, ATimeRuleSaysHowManyFramesThereAre) {
  const auto made = [](TimeRule rule) {
    std::vector<std::int64_t> frames;
    for (const std::int64_t n : {0, 1, 2, 4, 5}) frames.push_back(frames_made(rule, n));
    return frames;
  };
  using Frames = std::vector<std::int64_t>;
  EXPECT_EQ(made(TimeRule::kDouble), (Frames{0, 1, 3, 7, 9}));
  EXPECT_EQ(made(TimeRule::kDoubleAll), (Frames{0, 2, 4, 8, 10}));
  EXPECT_EQ(made(TimeRule::kHalve), (Frames{0, 1, 1, 2, 3}));
  EXPECT_EQ(made(TimeRule::kHalveAll), (Frames{0, 0, 1, 2, 2}));
  EXPECT_EQ(frames_read(TimeRule::kDoubleAll, {2, 6}), (Span{1, 3}));
  EXPECT_EQ(frames_read(TimeRule::kHalveAll, {1, 3}), (Span{2, 6}));
}

}  // namespace
}  // namespace truetile
