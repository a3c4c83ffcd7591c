#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "kernels/cpu/half.hpp"
#include "kernels/group_norm.hpp"
#include "random.hpp"

namespace truetile {
namespace {

using Three = std::array<std::int64_t, 3>;

double uniform(testing::Random& random) {
  return static_cast<double>(random.in(-1'000'000, 1'000'000)) / 1e6;
}

/// Two passes in long double.
Moments two_pass(const std::vector<double>& values) {
  long double sum = 0;
  for (const double v : values) sum += v;
  const long double mean = sum / static_cast<long double>(values.size());
  long double m2 = 0;
  for (const double v : values) m2 += (v - mean) * (v - mean);
  return {static_cast<double>(values.size()), static_cast<double>(mean), static_cast<double>(m2)};
}

void expect_near(const Moments& got, const Moments& wanted) {
  EXPECT_EQ(got.count, wanted.count);
  const double deviation = std::sqrt(wanted.m2 / wanted.count);
  EXPECT_NEAR(got.mean, wanted.mean, 1e-12 * (std::abs(wanted.mean) + deviation));
  // Sums in double of differences from a value of the data: n * 2^-53 for n values at the worst;
  // and each of a few means merged is rounded, which its difference from another one shows.
  const double means = 0x1p-48 * std::abs(wanted.mean) * deviation;
  EXPECT_NEAR(got.m2, wanted.m2, wanted.count * (0x1p-51 * wanted.m2 + means));
}

TEST(PixelRows, DenseStripsAreOneRow) {
  const PixelRows rows = make_pixel_rows({2, 3, 5}, {15 * 8, 5 * 8, 8});
  EXPECT_EQ(rows.width, 30);
  EXPECT_EQ(rows.step, 8);
  EXPECT_EQ(rows.rows(), 1);
}

TEST(PixelRows, EveryPixelHasItsPlace) {
  testing::Random random(3);
  for (int round = 0; round < 500; ++round) {
    const Three sizes = {random.in(0, 4), random.in(0, 4), random.in(0, 4)};
    // A cropped [.., H, W] buffer, an expanded one, or its axes in another order.
    const std::int64_t w = sizes[2] + random.in(0, 2);
    const std::int64_t h = sizes[1] + random.in(0, 2);
    Three strides = {h * w * 6, w * 6, 6};
    if (random.one_in(3)) strides[static_cast<std::size_t>(random.in(0, 2))] = 0;
    if (random.one_in(3)) std::swap(strides[1], strides[2]);
    std::vector<std::int64_t> wanted;
    for (std::int64_t t = 0; t < sizes[0]; ++t) {
      for (std::int64_t y = 0; y < sizes[1]; ++y) {
        for (std::int64_t x = 0; x < sizes[2]; ++x) {
          wanted.push_back(t * strides[0] + y * strides[1] + x * strides[2]);
        }
      }
    }
    const PixelRows rows = make_pixel_rows(sizes, strides);
    std::vector<std::int64_t> got;
    for (std::int64_t row = 0; row < rows.rows(); ++row) {
      for (std::int64_t x = 0; x < rows.width; ++x) got.push_back(rows.start(row) + x * rows.step);
    }
    EXPECT_EQ(got, wanted);
  }
}

TEST(Moments, MergeInAnyParts) {
  testing::Random random(4);
  for (int round = 0; round < 200; ++round) {
    std::vector<double> all;
    Moments merged;
    const double mean = 1000 * uniform(random);
    for (int part = 0; part < 5; ++part) {
      std::vector<double> values(static_cast<std::size_t>(random.in(0, 50)));
      for (double& v : values) v = mean + uniform(random);
      merged = merge(merged, values.empty() ? Moments{} : two_pass(values));
      all.insert(all.end(), values.begin(), values.end());
    }
    if (!all.empty()) expect_near(merged, two_pass(all));
  }
}

TEST(Moments, CountsStayExactBeyondFloat) {
  Moments state{0x1p40, 0.5, 0x1p40};
  state = merge(state, {1, 0.5, 0});
  EXPECT_EQ(state.count, 0x1p40 + 1);
  EXPECT_EQ(state.mean, 0.5);
  EXPECT_EQ(state.m2, 0x1p40);
}

struct Strip {
  std::vector<float> data;
  Three sizes{}, strides{};
  std::int64_t channels = 0;
};

template <class T>
std::vector<Moments> run(const Strip& strip, std::int64_t groups, std::int64_t parts) {
  std::vector<T> data(strip.data.size());
  for (std::size_t i = 0; i < data.size(); ++i) from_float(strip.data[i], data[i]);
  std::vector<Moments> state(static_cast<std::size_t>(groups));
  std::vector<Moments> partial(static_cast<std::size_t>(groups * kMaxMomentBlocks));
  MomentsArgs args;
  args.data = data.data();
  args.dtype = std::is_same_v<T, Half>       ? DType::float16
               : std::is_same_v<T, BFloat16> ? DType::bfloat16
                                             : DType::float32;
  args.pixels = make_pixel_rows(strip.sizes, strip.strides);
  args.channels = strip.channels;
  args.groups = groups;
  args.state = state.data();
  args.partial = partial.data();
  if (parts == 0) parts = moment_parts_cpu(args);
  for (std::int64_t part = parts; part-- > 0;) group_moments_part_cpu(args, part, parts);
  merge_moments_cpu(args, parts);
  return state;
}

template <class T>
std::vector<Moments> reference(const Strip& strip, std::int64_t groups) {
  const std::int64_t size = strip.channels / groups;
  std::vector<Moments> wanted;
  for (std::int64_t group = 0; group < groups; ++group) {
    std::vector<double> values;
    for (std::int64_t i = 0; i < strip.sizes[0] * strip.sizes[1] * strip.sizes[2]; ++i) {
      const Three at = {i / strip.sizes[2] / strip.sizes[1], i / strip.sizes[2] % strip.sizes[1],
                        i % strip.sizes[2]};
      for (std::int64_t c = group * size; c < (group + 1) * size; ++c) {
        const std::int64_t element =
            at[0] * strip.strides[0] + at[1] * strip.strides[1] + at[2] * strip.strides[2] + c;
        T value{};
        from_float(strip.data[static_cast<std::size_t>(element)], value);
        values.push_back(to_float(value));
      }
    }
    wanted.push_back(two_pass(values));
  }
  return wanted;
}

/// A crop of a wider buffer; what lies around it would spoil every sum.
Strip random_strip(testing::Random& random, std::int64_t channels, double mean) {
  Strip strip;
  strip.channels = channels;
  strip.sizes = {random.in(1, 3), random.in(1, 6), random.in(1, 9)};
  const std::int64_t w = strip.sizes[2] + random.in(0, 2);
  const std::int64_t h = strip.sizes[1] + random.in(0, 2);
  strip.strides = {h * w * channels, w * channels, channels};
  strip.data.assign(static_cast<std::size_t>(strip.sizes[0] * h * w * channels), NAN);
  for (std::int64_t i = 0; i < strip.sizes[0] * strip.sizes[1] * strip.sizes[2]; ++i) {
    const std::int64_t first = i / strip.sizes[2] / strip.sizes[1] * strip.strides[0] +
                               i / strip.sizes[2] % strip.sizes[1] * strip.strides[1] +
                               i % strip.sizes[2] * strip.strides[2];
    for (std::int64_t c = first; c < first + channels; ++c) {
      strip.data[static_cast<std::size_t>(c)] = static_cast<float>(mean + uniform(random));
    }
  }
  return strip;
}

template <class T>
void check_random(double mean) {
  testing::Random random(5);
  for (int round = 0; round < 200; ++round) {
    const std::int64_t groups = random.in(1, 5);
    const Strip strip = random_strip(random, groups * random.in(1, 60), mean);
    const std::int64_t pixels = strip.sizes[0] * strip.sizes[1] * strip.sizes[2];
    const auto got = run<T>(strip, groups, random.in(0, std::min<std::int64_t>(7, pixels)));
    const auto wanted = reference<T>(strip, groups);
    for (std::size_t group = 0; group < wanted.size(); ++group) {
      expect_near(got[group], wanted[group]);
    }
  }
}

TEST(GroupMomentsCpu, EqualsTwoPasses) {
  check_random<float>(0);
  check_random<Half>(2);
  check_random<BFloat16>(-3);
}

TEST(GroupMomentsCpu, AMeanFarFromZeroCostsNoDigits) { check_random<float>(1000); }

TEST(GroupMomentsCpu, ConstantsHaveNoVariance) {
  Strip strip{std::vector<float>(5 * 12, 0.1F), {1, 1, 5}, {60, 60, 12}, 12};
  for (const Moments& m : run<float>(strip, 3, 2)) {
    EXPECT_EQ(m.count, 20);
    EXPECT_EQ(m.mean, 0.1F);
    EXPECT_EQ(m.m2, 0);
  }
}

TEST(GroupMomentsCpu, PartsDependOnTheSizeAlone) {
  MomentsArgs args;
  args.channels = 128;
  args.groups = 32;
  args.pixels = make_pixel_rows({1, 0, 7}, {0, 7 * 128, 128});
  EXPECT_EQ(moment_parts_cpu(args), 0);
  args.pixels = make_pixel_rows({1, 1, 7}, {0, 7 * 128, 128});
  EXPECT_EQ(moment_parts_cpu(args), 1);
  args.pixels = make_pixel_rows({1, 1 << 14, 1 << 14}, {0, 128 << 14, 128});
  EXPECT_EQ(moment_parts_cpu(args), kMaxMomentBlocks);
}

TEST(GroupAffineCpu, NormalisesWithItsWeights) {
  const std::array<Moments, 2> state = {{{10, 1000, 40}, {4, -1, 0}}};
  const std::array<float, 4> gamma = {1, 2, 3, 0.1F};
  const std::array<BFloat16, 4> beta = {{{0x3F80}, {0}, {0xBF80}, {0x4000}}};  // 1, 0, -1, 2
  std::array<float, 4> scale{};
  std::array<float, 4> shift{};
  AffineArgs args;
  args.state = state.data();
  args.gamma = {gamma.data(), DType::float32};
  args.beta = {beta.data(), DType::bfloat16};
  args.eps = 0.25;
  args.channels = 4;
  args.groups = 2;
  args.scale = scale.data();
  args.shift = shift.data();
  group_affine_cpu(args);
  const double rstd = 1 / std::sqrt(4.25);
  EXPECT_EQ(scale, (std::array<float, 4>{static_cast<float>(rstd), static_cast<float>(2 * rstd), 6,
                                         0.2F}));
  EXPECT_EQ(shift[0], static_cast<float>(1 - 1000.0 * scale[0]));
  EXPECT_EQ(shift[1], static_cast<float>(-1000.0 * scale[1]));
  EXPECT_EQ(shift[2], 5);
  EXPECT_EQ(shift[3], static_cast<float>(2 + double{scale[3]}));
  args.gamma = args.beta = {};
  group_affine_cpu(args);
  EXPECT_EQ(scale[3], 2);
  EXPECT_EQ(shift[3], 2);
}

}  // namespace
}  // namespace truetile
