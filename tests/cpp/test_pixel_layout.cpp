#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <vector>

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

// Every pixel of `out` is written once, from its source: what the kernel does with the items.
TEST(NormPadItem, CoversOutOnce) {
  alignas(16) std::array<float, 4> data{};
  for (std::int64_t up = 1; up <= 3; ++up) {
    for (const std::int64_t columns : {0, 1, 7, 64, 301}) {
      for (const std::int64_t skip : {0, 1, 5}) {
        NormPadArgs args;
        args.x = args.out = data.data();
        args.frames = 2;
        args.channels = 96;
        args.top = 1;
        args.bottom = 2;
        args.left = 3;
        args.right = 40;
        args.padded_rows = 5 + 3;
        args.padded_columns = columns + 43;
        args.up = up;
        args.skip = skip;
        const PixelLayout layout = norm_pad_layout(args);
        const std::int64_t pixels = args.frames * args.padded_rows * args.padded_columns;
        std::vector<int> written(static_cast<std::size_t>(pixels));
        const auto write = [&](std::int64_t t, std::int64_t y, std::int64_t x) {
          const std::int64_t row = t * args.padded_rows + y;
          ++written.at(static_cast<std::size_t>(row * args.padded_columns + x));
        };
        for (std::int64_t i = 0; i < layout.items; ++i) {
          const NormPadItem item = norm_pad_item(args, layout, i);
          for (std::int64_t y = item.row.begin; y < item.row.end; ++y) {
            for (std::int64_t x = item.begin; x < item.end; ++x) {
              if (item.row.border) {
                write(item.t, y, x);
                continue;
              }
              for (std::int64_t k = 0; k < std::min(up, columns - x * up); ++k) {
                write(item.t, y, args.left + x * up + k);
              }
            }
            if (item.row.border) continue;
            for (std::int64_t x = 0; item.first && x < args.left; ++x) write(item.t, y, x);
            for (std::int64_t x = 0; item.last && x < args.right; ++x) {
              write(item.t, y, args.left + columns + x);
            }
          }
        }
        for (const int count : written) ASSERT_EQ(count, 1);
      }
    }
  }
}

}  // namespace
}  // namespace truetile::cuda
