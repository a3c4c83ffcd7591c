#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "conv_few_outputs_args.hpp"
#include "kernels/conv_few_outputs.hpp"
#include "kernels/cpu/half.hpp"
#include "random.hpp"

namespace truetile {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// Small integers, whose products and sums are exact in float32.
template <class T>
struct Case {
  std::int64_t frames, rows, columns, channels, outputs, taps_t;
  std::int64_t width = columns + 5;  ///< pixels of a row of x in memory, which begins at the third
  std::vector<T> x = {}, weight = {}, out = {};

  void fill(std::uint64_t seed) {
    testing::Random random(seed);
    const auto values = [&](std::vector<T>& to, std::int64_t size) {
      to.resize(static_cast<std::size_t>(size));
      for (T& value : to) from_float(static_cast<float>(random.in(-3, 3)), value);
    };
    values(x, (frames + taps_t - 1) * (rows + 2) * width * channels);
    values(weight, outputs * taps_t * 9 * channels);
    out.resize(static_cast<std::size_t>(frames * rows * columns * (outputs + 1)));
    for (T& value : out) from_float(kNan, value);
  }
  [[nodiscard]] ConvFewOutputsArgs args(DType dtype) {
    ConvFewOutputsArgs made = testing::sized_args(frames, rows, columns, channels, outputs, taps_t);
    made.x = x.data() + 2 * channels;
    made.weight = weight.data();
    made.out = out.data();
    made.dtype = dtype;
    made.x_strides = {(rows + 2) * width * channels, width * channels, channels};
    made.out_strides = {rows * columns * (outputs + 1), columns * (outputs + 1), outputs + 1};
    return made;
  }
  [[nodiscard]] float wanted(std::int64_t t, std::int64_t h, std::int64_t w, std::int64_t o) const {
    float sum = 0;
    for (std::int64_t i = 0; i < taps_t * 9 * channels; ++i) {
      const std::int64_t tap = i / channels;
      const std::int64_t pixel =
          ((t + tap / 9) * (rows + 2) + h + tap / 3 % 3) * width + w + tap % 3;
      const auto from = static_cast<std::size_t>((pixel + 2) * channels + i % channels);
      sum += to_float(x[from]) *
             to_float(weight[static_cast<std::size_t>(o * taps_t * 9 * channels + i)]);
    }
    return sum;
  }
};

template <class T>
void expect_convolution(DType dtype, Case<T> made) {
  made.fill(7);
  const std::int64_t work = made.frames * made.rows;
  conv_few_outputs_rows_cpu(made.args(dtype), 0, work / 2);
  conv_few_outputs_rows_cpu(made.args(dtype), work / 2, work);
  for (std::size_t i = 0; i < made.out.size(); ++i) {
    const auto at = static_cast<std::int64_t>(i) / (made.outputs + 1);
    const std::int64_t o = static_cast<std::int64_t>(i) % (made.outputs + 1);
    if (o == made.outputs) {
      EXPECT_TRUE(std::isnan(to_float(made.out[i]))) << "beyond the outputs";
      continue;
    }
    T rounded;
    from_float(made.wanted(at / made.columns / made.rows, at / made.columns % made.rows,
                           at % made.columns, o),
               rounded);
    ASSERT_EQ(to_float(made.out[i]), to_float(rounded)) << at << " " << o;
  }
}

TEST(ConvFewOutputs, IsTheConvolution) {
  for (const std::int64_t taps_t : {1, 3}) {
    for (const std::int64_t outputs : {1, 2, 3, 4}) {
      expect_convolution<float>(DType::float32, {2, 3, 5, 7, outputs, taps_t});
      expect_convolution<Half>(DType::float16, {1, 4, 3, 16, outputs, taps_t});
      expect_convolution<BFloat16>(DType::bfloat16, {3, 1, 1, 5, outputs, taps_t});
    }
  }
}

TEST(ConvFewOutputs, ANanIsInEachOutputThatReadsIt) {
  Case<float> made{1, 5, 6, 4, 3, 3};
  made.fill(1);
  // Frame 1, row 3, column 2, channel 1.
  const std::int64_t pixel = (1 * 7 + 3) * made.width + 2 + 2;
  made.x[static_cast<std::size_t>(pixel * 4 + 1)] = kNan;
  conv_few_outputs_rows_cpu(made.args(DType::float32), 0, 5);
  for (std::int64_t at = 0; at < 30; ++at) {
    const std::int64_t h = at / 6;
    const std::int64_t w = at % 6;
    const bool reads = h >= 1 && h <= 3 && w <= 2;
    for (std::int64_t o = 0; o < 3; ++o) {
      EXPECT_EQ(std::isnan(made.out[static_cast<std::size_t>(at * 4 + o)]), reads);
    }
  }
}

}  // namespace
}  // namespace truetile
