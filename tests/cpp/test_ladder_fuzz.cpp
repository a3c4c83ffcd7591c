// Out of memory at every rung and every step, alone and nested, and at random.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <vector>

#include "ladder_oracle.hpp"
#include "random.hpp"

namespace truetile {
namespace {

using testing::Outcome;
using testing::Problem;
using testing::Random;
using testing::run;

constexpr Scales kCausal{AxisScale{4, 1}, AxisScale{2, 2}, AxisScale{2, 2}};
constexpr Scales kPlain{AxisScale{2, 2}, AxisScale{2, 2}, AxisScale{2, 2}};
constexpr Scales kImage{AxisScale{1, 1}, AxisScale{3, 3}, AxisScale{3, 3}};
// Sanitizers make a case ten to twenty times slower.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kRandomPlans = 3000;
#else
constexpr int kRandomPlans = 20000;
#endif

constexpr LadderOptions kSmall{.tile = 4, .overlap = 1, .min_tile = 2};

LadderOptions with(LadderOptions options, void (*change)(LadderOptions&)) {
  change(options);
  return options;
}

std::vector<Problem> problems() {
  const LadderOptions carried = with(kSmall, [](LadderOptions& o) { o.carried = true; });
  const LadderOptions blended = with(kSmall, [](LadderOptions& o) { o.overlap_frames = 8; });
  const LadderOptions tiled = with(blended, [](LadderOptions& o) {
    o.start_tiled = true;
    o.frames = 20;
  });
  const LadderOptions pairs = with(carried, [](LadderOptions& o) { o.chunk_multiple = 2; });
  const LadderOptions encode = with(blended, [](LadderOptions& o) { o.encode = true; });
  const LadderOptions carried_encode = with(carried, [](LadderOptions& o) { o.encode = true; });
  return {{{6, 5, 7}, kCausal, carried}, {{7, 5, 5}, kCausal, blended},
          {{9, 7, 5}, kCausal, tiled},   {{7, 4, 7}, kCausal, pairs},
          {{9, 5, 6}, kPlain, kSmall},   {{9, 5, 6}, kPlain, carried},
          {{1, 11, 14}, kImage, kSmall}, {{6, 5, 6}, kImage, kSmall},
          {{7, 5, 5}, kCausal, encode},  {{6, 5, 7}, kCausal, carried_encode}};
}

/// Runs with failures at the given distances: the first after gaps[0] steps, and so on.
template <std::size_t N>
Outcome run_with(const Problem& problem, const std::array<std::int64_t, N>& gaps) {
  std::size_t failed = 0;
  std::int64_t since = 0;
  return run(problem, [&](const Step&) {
    if (failed == N || since++ != gaps[failed]) return false;
    ++failed;
    since = 0;
    return true;
  });
}

template <typename Visit>
void for_each_start(const Visit& visit) {
  for (Problem problem : problems()) {
    const auto rungs = static_cast<std::int64_t>(problem.ladder().rungs().size());
    ASSERT_GE(rungs, 3);
    for (problem.start_rung = 0; problem.start_rung < rungs; ++problem.start_rung) {
      visit(problem, problem.start_rung + 1 == rungs);
      if (::testing::Test::HasFatalFailure()) return;
    }
  }
}

TEST(LadderInjection, OnceAtEveryRungAndEveryStep) {
  for_each_start([](const Problem& problem, bool last_rung) {
    const std::int64_t steps = run(problem, [](const Step&) { return false; }).steps;
    for (std::int64_t at = 0; at < steps; ++at) {
      SCOPED_TRACE(::testing::Message() << "rung " << problem.start_rung << " step " << at);
      const Outcome outcome = run_with<1>(problem, {at});
      ASSERT_EQ(outcome.failures + outcome.exhausted, 1);
      if (last_rung) {
        ASSERT_TRUE(outcome.exhausted);
      }
    }
  });
}

TEST(LadderInjection, AgainSoonAfterEveryStep) {
  for_each_start([](const Problem& problem, bool) {
    const std::int64_t steps = run(problem, [](const Step&) { return false; }).steps;
    for (std::int64_t at = 0; at < steps; ++at) {
      for (std::int64_t gap = 0; gap < 8; ++gap) {
        SCOPED_TRACE(::testing::Message() << problem.start_rung << " " << at << " " << gap);
        run_with<2>(problem, {at, gap});
        if (::testing::Test::HasFatalFailure()) return;
      }
    }
  });
}

TEST(LadderInjection, ThreeTimesAtStepsCloseTogether) {
  for_each_start([](const Problem& problem, bool) {
    if (problem.start_rung > 1) return;
    for (std::int64_t at = 0; at < 8; ++at) {
      for (std::int64_t gap = 0; gap < 8; ++gap) {
        for (std::int64_t last = 0; last < 8; ++last) {
          SCOPED_TRACE(::testing::Message() << at << " " << gap << " " << last);
          run_with<3>(problem, {at, gap, last});
          if (::testing::Test::HasFatalFailure()) return;
        }
      }
    }
  });
}

TEST(LadderInjection, EveryCallFailsUntilTheLadderIsExhausted) {
  for_each_start([](const Problem& problem, bool) {
    Ladder ladder = problem.ladder();
    auto step = ladder.next();
    EXPECT_THROW(
        while (step) {
          ladder.out_of_memory(*step);
          step = ladder.next();
        },
        LadderExhausted);
    EXPECT_EQ(step->depth, 0);
    EXPECT_EQ(step->rung + 1, static_cast<std::int64_t>(ladder.rungs().size()));
  });
}

Problem random_problem(Random& random) {
  Problem problem;
  problem.extent = {random.in(1, 9), random.in(1, 11), random.in(1, 11)};
  const std::int64_t factor = random.in(1, 4);
  const std::int64_t first = random.one_in(2) ? 1 : random.in(1, factor);
  const std::int64_t y = random.in(1, 3), x = random.in(1, 3);
  problem.scales = {AxisScale{factor, first}, AxisScale{y, y}, AxisScale{x, x}};
  LadderOptions& o = problem.options;
  o.tile = random.in(1, 8);
  o.overlap = random.in(0, o.tile - 1);
  o.min_tile = random.in(1, o.tile);
  o.frames = random.one_in(2) ? 0 : random.in(1, 24);
  o.overlap_frames = random.in(0, o.frames > 0 ? o.frames - 1 : 24);
  o.carried = random.one_in(2);
  o.chunk_multiple = random.one_in(3) ? random.in(1, 3) : 1;
  o.encode = random.one_in(3);
  o.start_tiled = random.one_in(4);
  o.stretch = random.one_in(3) ? random.in(1000, 2000) : 1000;
  const auto rungs = static_cast<std::int64_t>(problem.ladder().rungs().size());
  problem.start_rung = random.one_in(2) ? 0 : random.in(0, rungs - 1);
  return problem;
}

TEST(LadderInjection, AtRandomInManyPlans) {
  Random random(5);
  std::int64_t failures = 0, exhausted = 0, deepest = 0;
  for (int i = 0; i < kRandomPlans; ++i) {
    const Problem problem = random_problem(random);
    const std::int64_t rarity = random.one_in(4) ? 1 : random.in(2, 40);
    SCOPED_TRACE(::testing::Message() << "case " << i);
    const Outcome outcome = run(problem, [&](const Step& step) {
      deepest = std::max(deepest, step.depth);
      return random.one_in(rarity);
    });
    failures += outcome.failures;
    exhausted += outcome.exhausted;
    ASSERT_FALSE(::testing::Test::HasFailure());
  }
  EXPECT_GT(failures, kRandomPlans / 2);
  EXPECT_GT(exhausted, kRandomPlans / 20);
  EXPECT_GE(deepest, 3);
}

}  // namespace
}  // namespace truetile
