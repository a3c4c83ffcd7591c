#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "kernels/cpu/half.hpp"
#include "kernels/softmax.hpp"
#include "random.hpp"

namespace truetile {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

template <class T>
SoftmaxArgs args_of(const std::vector<float>& scores, std::vector<T>& out, DType dtype,
                    std::int64_t columns) {
  SoftmaxArgs args;
  args.scores = scores.data();
  args.out = out.data();
  args.dtype = dtype;
  args.rows = 1;
  args.columns = columns;
  return args;
}

std::vector<float> softmax(const std::vector<float>& scores) {
  std::vector<float> out(scores.size());
  softmax_rows_cpu(args_of(scores, out, DType::float32, static_cast<std::int64_t>(scores.size())),
                   0, 1);
  return out;
}

TEST(Softmax, OfEqualScoresIsTheirShare) {
  EXPECT_EQ(softmax({7, 7, 7, 7}), (std::vector<float>{0.25F, 0.25F, 0.25F, 0.25F}));
  EXPECT_EQ(softmax({-3000}), std::vector<float>{1});
  EXPECT_EQ(softmax({3000, -kInf, 3000}), (std::vector<float>{0.5F, 0, 0.5F}));
}

TEST(Softmax, OfWhatHasNoneIsNan) {
  for (const std::vector<float>& scores :
       {std::vector<float>{-kInf, -kInf}, {1, kInf}, {kNan, 1}, {1, kNan}, {kNan}}) {
    for (const float value : softmax(scores)) EXPECT_TRUE(std::isnan(value));
  }
}

TEST(Softmax, LosesNothingOfMillionsOfTerms) {
  // A float that adds ones stops counting at 2^24.
  const std::vector<float> out = softmax(std::vector<float>((1U << 24U) + 4096U));
  EXPECT_FLOAT_EQ(out.front(), 1.0F / static_cast<float>((1U << 24U) + 4096U));
}

/// Rows of a wider buffer into rows of another, of which nothing else is written.
template <class T>
void expect_rows(DType dtype, double half) {
  constexpr std::int64_t kRows = 5;
  constexpr std::int64_t kColumns = 37;
  constexpr std::int64_t kFrom = 41;
  constexpr std::int64_t kTo = 50;
  truetile::testing::Random random(3);
  std::vector<float> scores(kRows * kFrom, kNan);
  for (std::int64_t row = 0; row < kRows; ++row) {
    for (std::int64_t i = 0; i < kColumns; ++i) {
      scores[static_cast<std::size_t>(row * kFrom + i)] =
          static_cast<float>(random.in(-800, 800)) / 100;
    }
  }
  std::vector<T> out(kRows * kTo);
  for (T& value : out) from_float(-1.0F, value);
  SoftmaxArgs args = args_of(scores, out, dtype, kColumns);
  args.scores_stride = kFrom;
  args.out_stride = kTo;
  args.rows = kRows;
  softmax_rows_cpu(args, 0, 2);
  softmax_rows_cpu(args, 2, 4);
  for (std::int64_t row = 0; row < kRows; ++row) {
    const float* x = scores.data() + row * kFrom;
    double sum = 0;
    for (std::int64_t i = 0; i < kColumns; ++i) sum += std::exp(static_cast<double>(x[i]));
    for (std::int64_t i = 0; i < kTo; ++i) {
      const double got = to_float(out[static_cast<std::size_t>(row * kTo + i)]);
      if (row == 4 || i >= kColumns) {
        EXPECT_EQ(got, -1);
        continue;
      }
      const double wanted = std::exp(static_cast<double>(x[i])) / sum;
      // The difference from the maximum is rounded, up to 16, and four values after it: up to 20
      // last places in each of two exponentials. Half's subnormal numbers end at 2^-24.
      EXPECT_NEAR(got, wanted, wanted * (half + 40 * 0x1p-24) + 0x1p-25);
    }
  }
}

TEST(Softmax, RoundsOnceAndLeavesOtherColumnsAlone) {
  expect_rows<float>(DType::float32, 0x1p-24);
  expect_rows<Half>(DType::float16, 0x1p-11);
  expect_rows<BFloat16>(DType::bfloat16, 0x1p-8);
}

TEST(Softmax, InPlace) {
  std::vector<float> values = {1, 2, 3, 4, 5};
  const std::vector<float> wanted = softmax(values);
  softmax_rows_cpu(args_of(values, values, DType::float32, 5), 0, 1);
  EXPECT_EQ(values, wanted);
}

}  // namespace
}  // namespace truetile
