// Plans to choose from, what they count, and the choice.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.hpp"
#include "core/stream/frames.hpp"
#include "core/stream/passes.hpp"
#include "core/stream/plan.hpp"
#include "core/stream/values.hpp"
#include "stream_programs.hpp"

namespace truetile {
namespace {

using testing::Case;
using testing::Random;
using testing::random_case;

TEST(Plan, PlansGetSmallerAsTheyGetSlowerAndTheBudgetDecides) {
  Random random(5);
  for (int round = 0; round < 30; ++round) {
    const Case one = random_case(random, random.one_in(2));
    const std::vector<StreamPlan> plans = candidates(one.layers, one.clip, 2);
    ASSERT_FALSE(plans.empty());
    for (std::size_t i = 0; i + 1 < plans.size(); ++i) {
      ASSERT_LE(plans[i].seconds, plans[i + 1].seconds);
      ASSERT_GT(plans[i].bytes, plans[i + 1].bytes);
    }
    for (const StreamPlan& plan : plans) {
      ASSERT_EQ(choose_plan(plans, plan.bytes).segments, plan.segments);
    }
    EXPECT_THROW((void)choose_plan(plans, plans.back().bytes - 1), BudgetError);
  }
}

TEST(Plan, TheChosenPlanCostsLeastOfThoseThatAreNearlyFastest) {
  Random random(7);
  for (int round = 0; round < 30; ++round) {
    const Case one = random_case(random, random.one_in(2));
    const std::vector<StreamPlan> plans = candidates(one.layers, one.clip, 2);
    const double slack = 1.0 + 0.1 * static_cast<double>(random.in(0, 20));
    // From nothing up to a second for each byte.
    const double byte_seconds = random.one_in(4) ? 0.0 : std::pow(0.1, random.in(0, 14));
    const auto cost = [byte_seconds](const StreamPlan& plan) {
      return plan.seconds + byte_seconds * static_cast<double>(plan.bytes);
    };
    const StreamPlan chosen = choose_plan(plans, plans.front().bytes, slack, byte_seconds);
    EXPECT_LE(chosen.seconds, slack * plans.front().seconds);
    for (const StreamPlan& plan : plans) {
      if (plan.seconds > slack * plans.front().seconds) break;
      EXPECT_LE(cost(chosen), cost(plan));
    }
  }
}

/// Bytes of the weights of layers from `first` on.
std::int64_t weights_from(const std::vector<std::int64_t>& weights, std::int64_t first) {
  return std::accumulate(weights.begin() + first, weights.end(), std::int64_t{0});
}

/// What a plan of two segments takes at most, with the weights that are read from either one on.
std::int64_t most_of_two(const Case& one, const StreamPlan& plan,
                         const std::vector<std::int64_t>& weights) {
  const auto cut = static_cast<std::size_t>(plan.segments[1].first);
  const std::int64_t store = store_bytes(value_sizes(one.layers, one.clip)[cut], 2);
  std::int64_t most = 0;
  for (const Segment& segment : plan.segments) {
    const std::int64_t peak = Schedule(one.layers, one.clip, segment, 2).peak_bytes();
    most = std::max(most, store + peak + weights_from(weights, segment.first));
  }
  return most;
}

TEST(Plan, WeightsCountAsLongAsALayerReadsThem) {
  Random random(8);
  int pairs = 0;
  for (int round = 0; round < 60; ++round) {
    Case one = random_case(random, random.one_in(2));
    const bool passes = random.one_in(3);
    if (passes) one.layers = testing::ProgramMaker(random).with_norms(one.layers);
    std::vector<std::int64_t> weights;
    for (std::size_t i = 0; i < one.layers.size(); ++i) weights.push_back(random.in(0, 1 << 20));
    for (const StreamPlan& plan : candidates(one.layers, one.clip, 2, {}, weights)) {
      if (!passes && plan.segments.size() == 2) {
        ASSERT_EQ(plan.bytes, most_of_two(one, plan, weights));
        ++pairs;
      } else {
        const std::int64_t most = plan_bytes(one.layers, one.clip, plan.segments, 2);
        ASSERT_EQ(plan.bytes, most + weights_from(weights, 0));
      }
    }
  }
  EXPECT_GT(pairs, 20);
  const Case one = random_case(random, false);
  EXPECT_THROW((void)candidates(one.layers, one.clip, 2, {}, {1}), InvalidArgument);
}

TEST(Plan, ChunksCutTheClipEvenly) {
  Random random(9);
  for (int round = 0; round < 200; ++round) {
    const Case one = random_case(random, false);
    const auto last = static_cast<std::int64_t>(one.layers.size());
    const std::int64_t units = FramePlan(one.layers, 0, last, one.clip[0], 0).units();
    const std::vector<std::int64_t> lengths = chunk_lengths(one.layers, 0, last, one.clip[0]);
    ASSERT_EQ(lengths.front(), 0);
    ASSERT_EQ(lengths.back(), units > 1 ? 1 : 0);
    for (std::size_t i = 1; i < lengths.size(); ++i) {
      ASSERT_LT(lengths[i], i == 1 ? units : lengths[i - 1]);
      const std::int64_t count = (units + lengths[i] - 1) / lengths[i];
      ASSERT_GT(count, 1);
      ASSERT_EQ(lengths[i], (units + count - 1) / count) << "a shorter chunk does as well";
    }
  }
}

}  // namespace
}  // namespace truetile
