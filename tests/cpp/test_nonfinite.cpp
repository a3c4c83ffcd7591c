#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <vector>

#include "kernels/cpu/half.hpp"
#include "kernels/nonfinite.hpp"

namespace truetile {
namespace {

Rows rows_of(const std::vector<std::int64_t>& sizes, const std::vector<std::int64_t>& strides) {
  Rows rows;
  EXPECT_TRUE(make_rows(sizes.data(), strides.data(), static_cast<int>(sizes.size()), rows));
  return rows;
}

TEST(Rows, DenseTensorsAreOneRowInAnyOrder) {
  const auto contiguous = rows_of({2, 3, 4, 5}, {60, 20, 5, 1});
  const auto channels_last = rows_of({2, 3, 4, 5}, {60, 1, 15, 3});
  for (const Rows& rows : {contiguous, channels_last}) {
    EXPECT_EQ(rows.run, 120);
    EXPECT_EQ(rows.outer, 0);
  }
  EXPECT_EQ(rows_of({1, 7, 1}, {99, 1, 55}).run, 7);
  EXPECT_EQ(rows_of({}, {}).elements(), 1);
}

TEST(Rows, SlicesKeepTheirRuns) {
  const auto cropped = rows_of({3, 4, 5}, {40, 8, 1});  // [3, 5, 8][:, :4, :5]
  EXPECT_EQ(cropped.run, 5);
  EXPECT_EQ(cropped.outer, 2);
  EXPECT_EQ(cropped.elements(), 60);
  EXPECT_EQ(cropped.start(5), 40 + 8);
  const auto strided = rows_of({4}, {2});
  EXPECT_EQ(strided.run, 1);
  EXPECT_EQ(strided.start(3), 6);
  const auto expanded = rows_of({3, 5}, {0, 1});
  EXPECT_EQ(expanded.run, 5);
  EXPECT_EQ(expanded.elements(), 15);
  EXPECT_EQ(rows_of({3, 0, 5}, {5, 5, 1}).elements(), 0);
}

TEST(Rows, TooManyOuterDimensionsAreRefused) {
  std::vector<std::int64_t> sizes(9, 2);
  std::vector<std::int64_t> strides;
  for (std::int64_t stride = 2; strides.size() < 9; stride *= 3) strides.push_back(stride);
  Rows rows;
  EXPECT_FALSE(make_rows(sizes.data(), strides.data(), 9, rows));
}

template <class T>
std::vector<T> sample(std::int64_t n) {
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::vector<T> x(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) {
    // Every 3rd NaN; of the rest every 5th infinite, of both signs.
    const float v = i % 3 == 0 ? nan : (i % 5 == 0 ? (i % 2 == 0 ? inf : -inf) : 60000.0F);
    from_float(v, x[static_cast<std::size_t>(i)]);
  }
  return x;
}

template <class T>
void expect_counted(DType dtype) {
  constexpr std::int64_t kCount = 150'001;  // several chunks of the kernel's narrow sums
  const std::vector<T> x = sample<T>(kCount);
  Rows rows;
  rows.data = x.data();
  rows.dtype = dtype;
  rows.run = kCount;
  NonFinite total;
  for (std::int64_t at = 0; at < kCount; at += 70'000) {
    const auto part = count_nonfinite_cpu(rows, at, std::min(kCount, at + 70'000));
    total.nan += part.nan;
    total.inf += part.inf;
  }
  EXPECT_EQ(total.nan, 50'001);
  EXPECT_EQ(total.inf, 20'000);
}

TEST(NonFiniteCpu, CountsEveryType) {
  expect_counted<float>(DType::float32);
  expect_counted<Half>(DType::float16);
  expect_counted<BFloat16>(DType::bfloat16);
}

TEST(NonFiniteCpu, CountsOnlyTheRows) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> x(40, nan);
  Rows rows = rows_of({5, 3}, {8, 1});
  rows.data = x.data();
  EXPECT_EQ(count_nonfinite_cpu(rows, 0, 15).nan, 15);
  x[8] = 1.0F;  // the second row's first element
  EXPECT_EQ(count_nonfinite_cpu(rows, 0, 15).nan, 14);
  x[5] = 1.0F;  // between two rows
  EXPECT_EQ(count_nonfinite_cpu(rows, 2, 4).nan, 1);
}

}  // namespace
}  // namespace truetile
