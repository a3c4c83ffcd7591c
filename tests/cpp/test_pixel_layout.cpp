#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "kernels/cuda/merge_layout.hpp"
#include "kernels/cuda/norm_pad_item.hpp"
#include "kernels/cuda/pixel_layout.hpp"

namespace truetile::cuda {
namespace {

TEST(PixelLayout, LanesHoldAllOfAPixelAndFewIdle) {
  for (const DType dtype : {DType::bfloat16, DType::float32}) {
    const std::int64_t width = 16 / element_size(dtype);
    for (std::int64_t channels = width; channels <= 1024; channels += width) {
      const PixelLayout layout = pixel_layout(channels, dtype, true, 100, 100);
      EXPECT_GT(layout.vectors, 0) << channels;
      EXPECT_EQ(layout.parts, channels / width);
      EXPECT_GE(layout.lanes() * layout.vectors, layout.parts);
      EXPECT_LE(layout.lanes(), kPixelLanes);
      if (layout.parts % 2 == 0 && layout.parts <= 8) {
        EXPECT_LE(layout.lanes() * layout.vectors * 3, layout.parts * 4) << channels;
      }
    }
    for (const std::int64_t channels : {96, 128, 192, 256, 384, 512, 768, 1024}) {
      const PixelLayout layout = pixel_layout(channels, dtype, true, 100, 100);
      EXPECT_EQ(layout.lanes() * layout.vectors, layout.parts) << channels;
    }
  }
}

TEST(PixelLayout, WhatIsNotAlignedGoesByElements) {
  EXPECT_EQ(pixel_layout(96, DType::bfloat16, false, 9, 9).vectors, 0);
  EXPECT_EQ(pixel_layout(3, DType::bfloat16, true, 9, 9).vectors, 0);
  EXPECT_EQ(pixel_layout(3, DType::bfloat16, true, 9, 9).parts, 3);
  EXPECT_EQ(pixel_layout(4096, DType::float32, true, 9, 9).vectors, 0);
  alignas(16) const std::array<float, 8> data{};
  EXPECT_TRUE(pixels_aligned(data.data(), DType::float32, {8, 4, -12}));
  EXPECT_FALSE(pixels_aligned(data.data() + 2, DType::float32, {8, 4, 4}));
  EXPECT_FALSE(pixels_aligned(data.data(), DType::float16, {8, 8, 4}));
  EXPECT_TRUE(pixels_aligned(nullptr, DType::float16, {}));
}

TEST(PixelLayout, SegmentsGrowWithTheWorkAndNumbersStay64Bit) {
  EXPECT_EQ(pixel_layout(96, DType::bfloat16, true, 10, 1000).segment, 16);
  EXPECT_EQ(pixel_layout(96, DType::bfloat16, true, 20000, 1920).segment, 256);
  const PixelLayout huge = pixel_layout(8, DType::bfloat16, true, std::int64_t{1} << 40, 1);
  EXPECT_EQ(huge.items, std::int64_t{1} << 40);
  EXPECT_EQ(pixel_blocks(huge), 0x7FFFFFFFU);
}

TEST(MergeLayout, WithoutABiasGaplessRowsAreRunsOfVectors) {
  alignas(16) std::array<float, 4> data{};
  MergeArgs args;
  args.y = args.out = data.data();
  args.dtype = DType::bfloat16;
  args.y_strides = {834 * 96 * 50, 834 * 96, 96};
  args.out_strides = {834 * 96 * 60, 834 * 96, 96};
  args.frames = 2;
  args.rows = 50;
  args.columns = 834;
  args.channels = 96;
  const MergeArgs narrow = merge_with_narrow_pixels(args);
  EXPECT_EQ(narrow.columns, 834 * 12);
  EXPECT_EQ(narrow.channels, 8);
  EXPECT_EQ(narrow.y_strides.w, 8);
  EXPECT_EQ(narrow.out_strides.h, 834 * 96);
  const PixelLayout layout = merge_layout(narrow);
  EXPECT_EQ(layout.vectors, 1);
  EXPECT_EQ(layout.lanes(), 1);

  MergeArgs other = args;
  other.bias = data.data();
  EXPECT_EQ(merge_with_narrow_pixels(other).channels, 96);
  other = args;
  other.out_strides.w = 2 * 96;
  EXPECT_EQ(merge_with_narrow_pixels(other).channels, 96);
  other = args;
  other.y_strides.h += 4;  // not aligned
  EXPECT_EQ(merge_with_narrow_pixels(other).channels, 96);
}

// Every pixel of `out` is written once, and every one of the window: what the kernel does.
TEST(NormPadItem, CoversOutAndTheWindowOnce) {
  for (const std::int64_t columns : {0, 1, 7, 64, 301}) {
    for (const std::int64_t interior : {std::int64_t{0}, columns / 2, columns}) {
      MergeNormPadArgs args;
      NormPadArgs& norm = args.norm;
      norm.frames = 2;
      norm.channels = 96;
      norm.top = 1;
      norm.bottom = 2;
      norm.left = 3;
      norm.right = 40;
      norm.padded_rows = 5 + 3;
      norm.padded_columns = interior + 43;
      args.rows = 6;
      args.columns = columns;
      const PixelLayout layout = norm_pad_layout(args, true);
      std::vector<int> out(static_cast<std::size_t>(2 * norm.padded_rows * norm.padded_columns));
      std::vector<int> window(static_cast<std::size_t>(2 * args.rows * columns));
      const auto write = [&](std::int64_t t, std::int64_t y, std::int64_t x) {
        const std::int64_t row = t * norm.padded_rows + y;
        ++out.at(static_cast<std::size_t>(row * norm.padded_columns + x));
      };
      for (std::int64_t i = 0; i < layout.items; ++i) {
        const NormPadItem item = norm_pad_item(args, layout, i);
        for (std::int64_t x = item.begin; x < item.end; ++x) {
          if (item.border()) {
            write(item.t, item.row.out, x);
            continue;
          }
          const std::int64_t row = item.t * args.rows + item.row.window;
          ++window.at(static_cast<std::size_t>(row * columns + x));
          if (item.normed() && x < interior) write(item.t, item.row.out, norm.left + x);
        }
        if (item.border() || !item.normed()) continue;
        for (std::int64_t x = 0; item.first && x < norm.left; ++x) write(item.t, item.row.out, x);
        for (std::int64_t x = 0; item.last && x < norm.right; ++x) {
          write(item.t, item.row.out, norm.left + interior + x);
        }
      }
      for (const int count : out) ASSERT_EQ(count, 1);
      for (const int count : window) ASSERT_EQ(count, 1);
    }
  }
}

}  // namespace
}  // namespace truetile::cuda
