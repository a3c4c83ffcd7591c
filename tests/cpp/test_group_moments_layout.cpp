// Who reads what in the CUDA kernel of moments: host code, so that it is proven where there is no
// GPU that every value is read once and counted for its own group.
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/cuda/group_moments_layout.hpp"
#include "random.hpp"

namespace truetile::cuda {
namespace {

// Only addresses are computed, nothing is read.
const void* address(std::int64_t bytes) {
  return reinterpret_cast<const void*>(static_cast<std::uintptr_t>((1 << 20) + bytes));
}

MomentsArgs args_of(const std::array<std::int64_t, 3>& sizes, std::int64_t channels,
                    std::int64_t groups, DType dtype, std::int64_t spare = 0) {
  MomentsArgs args;
  args.data = address(0);
  args.dtype = dtype;
  args.channels = channels;
  args.groups = groups;
  const std::int64_t step = channels;
  const std::int64_t row = (sizes[2] + spare) * step;
  args.pixels = make_pixel_rows(sizes, {sizes[1] * row, row, step});
  return args;
}

/// Walk as the kernel does; counts how often each (element of a pixel row, its group) is summed.
void expect_each_value_once(const MomentsArgs& args, const MomentsLayout& layout) {
  const PixelRows& pixels = args.pixels;
  const std::int64_t channels = args.channels;
  std::vector<int> read(static_cast<std::size_t>(pixels.pixels() * channels));
  std::vector<std::int64_t> counted(static_cast<std::size_t>(args.groups));
  const auto part_channels = static_cast<unsigned>(layout.part_channels());
  const unsigned parts = static_cast<unsigned>(args.group_channels()) / part_channels;
  ASSERT_EQ(parts * part_channels, args.group_channels());
  ASSERT_LE(layout.lanes * layout.steps, kMomentThreads);
  ASSERT_LE(layout.blocks(), kMaxMomentBlocks);
  std::int64_t all = 0;
  for (unsigned slice = 0; slice < layout.slices; ++slice) {
    for (unsigned range = 0; range < layout.ranges; ++range) {
      const std::int64_t begin = layout.first_item(range);
      const std::int64_t end = layout.first_item(range + 1);
      ASSERT_LT(begin, end);
      std::int64_t own = 0;
      for (unsigned thread = 0; thread < kMomentThreads; ++thread) {
        const unsigned step = thread / layout.lanes;
        const unsigned vector = slice * layout.lanes + thread % layout.lanes;
        if (step >= layout.steps || vector >= layout.vectors) continue;
        std::int64_t row = begin / layout.chunks;
        std::int64_t column = begin % layout.chunks * layout.item_pixels();
        for (std::int64_t item = begin; item < end; ++item) {
          for (std::int64_t k = 0; k < kMomentLoads; ++k) {
            const std::int64_t x = column + k * layout.steps + step;
            if (x >= pixels.width) break;
            own += vector == slice * layout.lanes ? 1 : 0;
            for (int i = 0; i < layout.width; ++i) {
              const std::int64_t channel = std::int64_t{vector} * layout.width + i;
              ++read[static_cast<std::size_t>((row * pixels.width + x) * channels + channel)];
            }
          }
          column += layout.item_pixels();
          if (column >= pixels.width) {
            column = 0;
            ++row;
          }
        }
      }
      EXPECT_EQ(own, layout.pixels_of(range, pixels));
      all += slice == 0 ? own : 0;
      for (unsigned group = 0; group < args.groups; ++group) {
        const unsigned part_begin = std::max(group * parts, layout.first_part(slice));
        const unsigned part_end = std::min((group + 1) * parts, layout.first_part(slice + 1));
        if (part_begin >= part_end) continue;
        // A slice's parts lie one after the other in each step's share of the shared memory.
        EXPECT_LE(part_end - layout.first_part(slice),
                  layout.lanes * static_cast<unsigned>(layout.halves));
        counted[group] += own * (part_end - part_begin) * part_channels;
      }
    }
  }
  EXPECT_EQ(all, pixels.pixels());
  for (const int times : read) ASSERT_EQ(times, 1);
  for (const std::int64_t count : counted) EXPECT_EQ(count, all * args.group_channels());
}

TEST(MomentsLayout, EveryValueIsReadOnce) {
  testing::Random random(7);
  constexpr std::array<DType, 3> kTypes = {DType::float32, DType::float16, DType::bfloat16};
  for (int round = 0; round < 400; ++round) {
    const std::int64_t groups = random.one_in(3) ? 32 : random.in(1, 40);
    const std::int64_t channels = groups * random.in(1, 24);
    const std::array<std::int64_t, 3> sizes = {random.in(1, 2), random.in(1, 9), random.in(1, 90)};
    const MomentsArgs args =
        args_of(sizes, channels, groups, kTypes[static_cast<std::size_t>(random.in(0, 2))],
                random.in(0, 1));
    const auto processors = static_cast<int>(random.in(1, 300));
    expect_each_value_once(args, moments_layout(args, processors));
  }
}

TEST(MomentsLayout, ManyChannelsTakeSlices) {
  for (const std::int64_t channels : {2056, 4096, 65535, 65536}) {
    const std::int64_t groups = channels % 8 == 0 ? 8 : 5;
    const MomentsArgs args = args_of({1, 1, 3}, channels, groups, DType::bfloat16);
    const MomentsLayout layout = moments_layout(args, 132);
    EXPECT_GT(layout.slices, 1U);
    expect_each_value_once(args, layout);
  }
}

TEST(MomentsLayout, VectorsWhereGroupsAndAddressesAllowThem) {
  const std::array<std::int64_t, 3> sizes = {1, 64, 64};
  const auto shape = [&](std::int64_t channels, DType dtype, std::int64_t offset = 0) {
    MomentsArgs args = args_of(sizes, channels, 32, dtype);
    args.data = address(offset);
    const MomentsLayout layout = moments_layout(args, 132);
    return std::array<int, 2>{layout.width, layout.halves};
  };
  using Shape = std::array<int, 2>;
  EXPECT_EQ(shape(128, DType::bfloat16), (Shape{8, 2}));
  EXPECT_EQ(shape(256, DType::bfloat16), (Shape{8, 1}));
  EXPECT_EQ(shape(512, DType::float16), (Shape{8, 1}));
  EXPECT_EQ(shape(128, DType::float32), (Shape{4, 1}));
  EXPECT_EQ(shape(64, DType::float32), (Shape{4, 2}));
  EXPECT_EQ(shape(64, DType::bfloat16), (Shape{1, 1}));   // four groups in a vector
  EXPECT_EQ(shape(320, DType::bfloat16), (Shape{1, 1}));  // groups of ten
  EXPECT_EQ(shape(256, DType::bfloat16, 8), (Shape{1, 1}));
  MomentsArgs odd = args_of(sizes, 256, 32, DType::bfloat16);
  odd.pixels.step = 260;
  EXPECT_EQ(moments_layout(odd, 132).width, 1);
  odd = args_of(sizes, 256, 32, DType::bfloat16);
  odd.pixels.strides[0] = 1;
  EXPECT_EQ(moments_layout(odd, 132).width, 1);
}

TEST(MomentsLayout, LargeStripsFillTheDevice) {
  const MomentsArgs args = args_of({1, 2048, 2048}, 128, 32, DType::bfloat16);
  const MomentsLayout layout = moments_layout(args, 132);
  EXPECT_EQ(layout.blocks(), 528U);
  EXPECT_EQ(layout.lanes * layout.steps, kMomentThreads);
  EXPECT_EQ(moments_layout(args, 1000).blocks(), static_cast<unsigned>(kMaxMomentBlocks));
}

}  // namespace
}  // namespace truetile::cuda
