// How the CUDA launcher cuts rows into quads: host code, so that its alignment rules are proven
// where there is no GPU.
#include <gtest/gtest.h>

#include <cstdint>

#include "kernels/cuda/blend_layout.hpp"
#include "random.hpp"

namespace truetile::cuda {
namespace {

// Only addresses are computed, nothing is read.
const void* address(std::int64_t element, DType dtype) {
  constexpr std::int64_t kBase = 4096;
  return reinterpret_cast<const void*>(
      static_cast<std::uintptr_t>(kBase + element * element_size(dtype)));
}

BlendTask task_of(std::int64_t t, std::int64_t y, std::int64_t x, const Strides& block,
                  const Strides& dst, std::int64_t block_at, std::int64_t dst_at) {
  BlendTask task;
  task.channels = 3;
  task.t.size = t;
  task.y.size = y;
  task.x.size = x;
  task.block_dtype = DType::bfloat16;
  task.block = address(block_at, task.block_dtype);
  task.block_strides = block;
  task.dst = const_cast<void*>(address(dst_at, task.dst_dtype));
  task.dst_strides = dst;
  return task;
}

/// Whether every quad of every row begins at a multiple of four elements.
bool aligned(const BlendTask& task, const Strides& s, std::int64_t at, std::int64_t shift) {
  const bool interleaved = three_adjacent(task, s);
  const std::int64_t planes = interleaved ? 1 : task.channels;
  const std::int64_t pixel = interleaved ? 3 : 1;
  for (std::int64_t c = 0; c < planes; ++c)
    for (std::int64_t t = 0; t < task.t.size; ++t)
      for (std::int64_t y = 0; y < task.y.size; ++y)
        if ((at + c * s.c + s.at(t, y, 0) - pixel * shift) % 4 != 0) return false;
  return true;
}

TEST(BlendLayout, PlanarToNhwcOnAlignedRowsUsesVectors) {
  const auto task = task_of(2, 5, 64, {640, 320, 64, 1}, {1, 960, 192, 3}, 0, 0);
  const Layout layout = layout_of(task);
  EXPECT_EQ(layout.load, Load::planes);
  EXPECT_TRUE(layout.vector_store);
  EXPECT_TRUE(layout.interleaved_store);
  EXPECT_EQ(layout.shift, 0);
  EXPECT_EQ(layout.quads(64), 16);
}

TEST(BlendLayout, ChannelsLastOnBothSides) {
  const Layout layout = layout_of(task_of(1, 5, 64, {1, 960, 192, 3}, {1, 960, 192, 3}, 4, 8));
  EXPECT_EQ(layout.load, Load::interleaved);
  EXPECT_TRUE(layout.vector_store);
}

TEST(BlendLayout, QuadsFollowTheDestination) {
  // The row begins one element before a boundary: its first quad holds one pixel.
  const Layout layout = layout_of(task_of(1, 1, 9, {9, 9, 9, 1}, {64, 64, 64, 1}, 3, 7));
  EXPECT_EQ(layout.shift, 3);
  EXPECT_EQ(layout.quads(9), 3);
  EXPECT_TRUE(layout.vector_store);
  EXPECT_EQ(layout.load, Load::pixels);  // planes 9 elements apart
}

TEST(BlendLayout, OddRowsFallBack) {
  EXPECT_FALSE(layout_of(task_of(1, 2, 9, {18, 18, 9, 1}, {18, 18, 9, 1}, 0, 0)).vector_store);
  EXPECT_EQ(layout_of(task_of(1, 2, 9, {8, 8, 4, 2}, {64, 64, 16, 1}, 0, 0)).load, Load::pixels);
}

TEST(BlendLayout, VectorsAreAlwaysAligned) {
  std::int64_t vectors = 0;
  for (std::uint64_t seed = 0; seed < 4000; ++seed) {
    truetile::testing::Random random(seed);
    const auto below = [&](std::int64_t n) { return random.in(0, n - 1); };
    const std::int64_t t = 1 + below(3);
    const std::int64_t y = 1 + below(3);
    const std::int64_t x = 1 + below(20);
    const auto strides = [&]() -> Strides {
      const std::int64_t wide = x + below(5);
      if (below(2) == 0) return {1, y * wide * 3, wide * 3, 3};
      return {t * y * wide, y * wide, wide, 1};
    };
    const Strides block = strides();
    const Strides dst = strides();
    const std::int64_t block_at = below(8);
    const std::int64_t dst_at = below(8);
    const BlendTask task = task_of(t, y, x, block, dst, block_at, dst_at);
    const Layout layout = layout_of(task);
    EXPECT_TRUE(layout.shift >= 0 && layout.shift < 4);
    EXPECT_GE(4 * layout.quads(x) - layout.shift, x);
    if (layout.vector_store) {
      EXPECT_TRUE(aligned(task, dst, dst_at, layout.shift)) << seed;
    }
    if (layout.load != Load::pixels) {
      EXPECT_TRUE(aligned(task, block, block_at, layout.shift)) << seed;
    }
    vectors += layout.vector_store && layout.load != Load::pixels ? 1 : 0;
  }
  EXPECT_GT(vectors, 100);
}

}  // namespace
}  // namespace truetile::cuda
