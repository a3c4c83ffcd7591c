// Who reads what in the CUDA kernel of softmax, and what becomes of it: host code, so that it is
// proven where there is no GPU that every score counts once, and how exactly.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "kernels/cuda/softmax_layout.hpp"
#include "random.hpp"

namespace truetile::cuda {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr std::uint64_t kBase = 1 << 20;  // only addresses are computed, nothing is read

struct Exp2 {
  float operator()(float x) const { return std::exp2(x); }
};

void expect_each_score_once(std::uint64_t scores, std::uint64_t out, std::uint64_t element,
                            std::int64_t columns) {
  const SoftmaxRow row = softmax_row(scores, out, element, columns);
  std::vector<int> read(static_cast<std::size_t>(columns));
  ASSERT_LE(row.singles(), 6);
  for (std::int64_t i = 0; i < row.singles(); ++i) {
    ++read.at(static_cast<std::size_t>(row.single_column(i)));
  }
  for (std::int64_t batch = 0; batch < row.batches(); ++batch) {
    for (int k = 0; k < kSoftmaxLoads; ++k) {
      for (unsigned thread = 0; thread < kSoftmaxThreads; ++thread) {
        const std::int64_t vector = SoftmaxRow::vector(batch, k, thread);
        if (vector >= row.vectors) continue;
        const std::int64_t column = row.column(vector);
        const auto at = static_cast<std::uint64_t>(column);
        ASSERT_EQ((scores + 4 * at) % 16, 0U);
        if (row.packed) {
          ASSERT_EQ((out + element * at) % (4 * element), 0U);
        }
        for (std::int64_t j = 0; j < kSoftmaxWidth; ++j) {
          ++read.at(static_cast<std::size_t>(column + j));
        }
      }
    }
  }
  for (const int times : read) ASSERT_EQ(times, 1);
}

TEST(SoftmaxRow, EveryScoreIsReadOnce) {
  testing::Random random(5);
  for (int round = 0; round < 600; ++round) {
    const std::int64_t columns = random.one_in(2) ? random.in(0, 40) : random.in(41, 70'000);
    const std::uint64_t element = random.one_in(2) ? 4 : 2;
    const auto shift = [&] { return static_cast<std::uint64_t>(random.in(0, 7)); };
    expect_each_score_once(kBase + 4 * shift(), kBase + element * shift(), element, columns);
  }
}

TEST(SoftmaxRow, RowsOfAnOddLengthAreStoredAsVectorsToo) {
  // Both matrices dense: row r begins at r * columns in each, whatever the bytes of an element.
  for (std::uint64_t r = 0; r < 8; ++r) {
    for (const std::uint64_t element : {2U, 4U}) {
      EXPECT_TRUE(softmax_row(kBase + r * 99 * 4, kBase + r * 99 * element, element, 99).packed);
    }
  }
  EXPECT_FALSE(softmax_row(kBase, kBase + 2, 2, 99).packed);
}

/// The row's largest score and sum in the kernel's order, thread by thread.
SoftmaxSum sum_of(const std::vector<float>& x, std::uint64_t scores) {
  const Exp2 power;
  const SoftmaxRow row = softmax_row(scores, 0, 2, static_cast<std::int64_t>(x.size()));
  const auto at = [&](std::int64_t column) { return x.at(static_cast<std::size_t>(column)); };
  std::array<SoftmaxSum, kSoftmaxThreads> threads;
  SoftmaxSum all;
  for (unsigned thread = 0; thread < kSoftmaxThreads; ++thread) {
    SoftmaxSum& mine = threads.at(thread);
    if (thread < row.singles()) {
      float one[1] = {at(row.single_column(thread))};
      mine.add(one, power);
    }
    for (std::int64_t batch = 0; batch < row.batches(); ++batch) {
      float values[kSoftmaxLoads * kSoftmaxWidth];
      std::fill(std::begin(values), std::end(values), -kInf);
      for (int k = 0; k < kSoftmaxLoads; ++k) {
        const std::int64_t vector = SoftmaxRow::vector(batch, k, thread);
        for (int j = 0; j < kSoftmaxWidth && vector < row.vectors; ++j) {
          values[k * kSoftmaxWidth + j] = at(row.column(vector) + j);
        }
      }
      mine.add(values, power);
    }
    all.max = std::max(all.max, mine.max);
  }
  for (SoftmaxSum& mine : threads) mine.raise(all.max, power);
  for (unsigned n = kSoftmaxThreads / 2; n > 0; n /= 2) {
    for (unsigned i = 0; i < n; ++i) threads.at(i).sum += threads.at(i + n).sum;
  }
  all.sum = threads[0].sum;
  return all;
}

/// How far the sum may be off, in parts of 2^-24 of itself: of each score's exponent 9/4 of its
/// distance from the maximum (a difference, a product, and the factor's own digits); then 4 for an
/// exponential and 1 for a product at each of batches + 2 rescalings and the first exponential, and
/// the additions: 5 levels of pairs, batches + 1 in a row, and 9 levels over a block.
double allowed(const std::vector<float>& x, double max, double batches) {
  double sum = 0;
  double weighted = 0;
  for (const float score : x) {
    const double term = std::exp(score - max);
    sum += term;
    if (term > 0) weighted += term * (max - score);
  }
  return 0x1p-24 * (2.25 * weighted / sum + 5 * (batches + 3) + batches + 15);
}

void expect_sum(const std::vector<float>& x, std::uint64_t scores = kBase) {
  const SoftmaxSum got = sum_of(x, scores);
  const double max = *std::max_element(x.begin(), x.end());
  double wanted = 0;
  for (const float score : x) wanted += std::exp(score - max);
  const SoftmaxRow row = softmax_row(scores, 0, 2, static_cast<std::int64_t>(x.size()));
  EXPECT_EQ(got.max, max);
  EXPECT_NEAR(got.sum, wanted, wanted * allowed(x, max, static_cast<double>(row.batches())));
}

std::vector<float> normal(std::size_t count, float spread, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> pick(0, spread);
  std::vector<float> x(count);
  for (float& value : x) value = pick(engine);
  return x;
}

TEST(SoftmaxSum, IsAsExactAsItsRoundings) {
  for (const std::size_t count : {1U, 2U, 5U, 33U, 4096U, 32'401U, 1U << 20U}) {
    for (const float spread : {0.0F, 1.0F, 10.0F, 1000.0F}) {
      expect_sum(normal(count, spread, 1), kBase + 4 * (count % 4));
    }
  }
}

TEST(SoftmaxSum, OfScoresThatRiseIsRescaledEachTime) {
  std::vector<float> x(1U << 20U);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i) * 0x1p-18F;
  expect_sum(x);
  std::reverse(x.begin(), x.end());
  expect_sum(x);
}

TEST(SoftmaxSum, WhatIsMinusInfinityAddsNothingWhereverItLies) {
  std::vector<float> x(100'000, -kInf);
  x[77'777] = -40;
  const SoftmaxSum one = sum_of(x, kBase + 4);
  EXPECT_EQ(one.max, -40);
  EXPECT_EQ(one.sum, 1);
  std::vector<float> two = normal(100'000, 3, 2);
  std::fill(two.begin(), two.begin() + 50'000, -kInf);
  expect_sum(two);
}

TEST(SoftmaxSum, OfWhatHasNoneIsNan) {
  EXPECT_TRUE(std::isnan(sum_of(std::vector<float>(50, -kInf), kBase).sum));
  for (const float bad : {kNan, kInf}) {
    for (const std::size_t at : {0U, 1U, 20'000U, 49'999U}) {
      std::vector<float> x = normal(50'000, 3, 3);
      x[at] = bad;
      EXPECT_TRUE(std::isnan(sum_of(x, kBase + 12).sum));
    }
    EXPECT_TRUE(std::isnan(sum_of({bad}, kBase).sum));
  }
  std::vector<float> x(50, -kInf);
  x[30] = kNan;
  EXPECT_TRUE(std::isnan(sum_of(x, kBase).sum));
}

}  // namespace
}  // namespace truetile::cuda
