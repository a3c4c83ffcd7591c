// The blend kernel without torch: how a call is split, what a canvas of tiles comes out as, and the
// edges of the number formats.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "kernels/blend.hpp"
#include "kernels/cpu/half.hpp"

namespace truetile {
namespace {

struct Tile {
  std::int64_t begin, use, lead, tail;
};
// Two and three tiles an axis with zones of odd lengths; tails are the next tile's leads.
const std::vector<Tile> kT = {{0, 5, 0, 2}, {3, 4, 2, 0}};
const std::vector<Tile> kY = {{0, 7, 0, 3}, {4, 8, 3, 1}, {11, 5, 1, 0}};
const std::vector<Tile> kX = {{0, 9, 0, 4}, {5, 9, 4, 5}, {9, 12, 5, 0}};
constexpr std::int64_t kC = 3, kFrames = 7, kHeight = 16, kWidth = 21;
constexpr std::int64_t kZoneT = 2, kZoneY = 3, kZoneX = 5, kUseY = 8, kUseX = 12;

Strides contiguous(std::int64_t t, std::int64_t y, std::int64_t x) {
  return {t * y * x, y * x, x, 1};
}

double weight(const Tile& tile, std::int64_t i) {
  if (i < tile.lead) return (static_cast<double>(i) + 0.5) / static_cast<double>(tile.lead);
  const std::int64_t slot = i - (tile.use - tile.tail);
  return slot < 0 ? 1.0 : 1.0 - (static_cast<double>(slot) + 0.5) / static_cast<double>(tile.tail);
}

void run(const BlendArgs& args) {
  for (const BlendTask& task : blend_tasks(args)) {
    if (!task.empty()) blend_rows_cpu(task, 0, task.t.size * task.y.size);
  }
}

/// A canvas with its line buffers, full of a value that must not survive.
struct Canvas {
  std::vector<float> out = std::vector<float>(kC * kFrames * kHeight * kWidth, 1e9F);
  std::vector<float> line_x = std::vector<float>(kC * kFrames * kUseY * kZoneX, 1e9F);
  std::vector<float> line_y = std::vector<float>(kC * kFrames * kZoneY * kWidth, 1e9F);
  std::vector<float> line_t = std::vector<float>(kC * kZoneT * kUseY * kUseX, 1e9F);
  Strides strides = contiguous(kFrames, kHeight, kWidth);

  [[nodiscard]] BlendArgs args(const Tile& t, const Tile& y, const Tile& x) {
    BlendArgs a;
    a.channels = kC;
    a.t = {t.use, 0, t.use, t.lead, t.tail, t.begin, t.begin};
    a.y = {y.use, 0, y.use, y.lead, y.tail, y.begin, y.begin};
    a.x = {x.use, 0, x.use, x.lead, x.tail, x.begin, x.begin};
    a.block_strides = contiguous(t.use, y.use, x.use);
    a.out = out.data();
    a.out_strides = strides;
    a.line_x = line_x.data();
    a.line_x_strides = contiguous(kFrames, kUseY, kZoneX);
    a.line_y = line_y.data();
    a.line_y_strides = contiguous(kFrames, kZoneY, kWidth);
    a.line_t = line_t.data();
    a.line_t_strides = contiguous(kZoneT, kUseY, kUseX);
    return a;
  }
};

template <class F>  // f(t, y, x): tiles in the order of work: y, x, time inside
void for_tiles(F&& f) {
  for (const Tile& y : kY)
    for (const Tile& x : kX)
      for (const Tile& t : kT) f(t, y, x);
}

std::vector<float> random_block(const BlendArgs& a, std::mt19937& random) {
  std::normal_distribution<float> normal;
  std::vector<float> block(static_cast<std::size_t>(kC * a.t.use * a.y.use * a.x.use));
  for (float& v : block) v = normal(random);
  return block;
}

TEST(BlendTasks, PartitionTheBox) {
  Canvas canvas;
  for_tiles([&](const Tile& t, const Tile& y, const Tile& x) {
    BlendArgs args = canvas.args(t, y, x);
    std::vector<float> block(static_cast<std::size_t>(kC * t.use * y.use * x.use));
    args.block = block.data();
    std::int64_t pixels = 0;
    for (const BlendTask& task : blend_tasks(args))
      pixels += task.t.size * task.y.size * task.x.size;
    EXPECT_EQ(pixels, t.use * y.use * x.use);
  });
}

TEST(BlendTasks, ReadAndWriteDifferentBuffers) {
  Canvas canvas;
  BlendArgs args = canvas.args(kT[1], kY[1], kX[1]);
  std::vector<float> block(static_cast<std::size_t>(kC * args.t.use * args.y.use * args.x.use));
  args.block = block.data();
  const auto tasks = blend_tasks(args);
  EXPECT_TRUE(tasks[0].flat());
  for (std::size_t i = 1; i < tasks.size(); ++i) EXPECT_TRUE(tasks[i].empty() || !tasks[i].flat());
  EXPECT_NE(tasks[1].line_x.data, nullptr);
  EXPECT_NE(tasks[2].line_y.data, nullptr);
  EXPECT_NE(tasks[3].line_t.data, nullptr);
  EXPECT_EQ(tasks[4].line_y.data, nullptr);  // writes line_y
  EXPECT_NE(tasks[4].line_x.data, nullptr);
  EXPECT_EQ(tasks[5].line_x.data, nullptr);  // writes line_x
  EXPECT_NE(tasks[5].line_t.data, nullptr);
  EXPECT_TRUE(tasks[6].empty());  // the last chunk has no tail in time
}

TEST(BlendCpu, ConstantStaysConstant) {
  Canvas canvas;
  for_tiles([&](const Tile& t, const Tile& y, const Tile& x) {
    BlendArgs args = canvas.args(t, y, x);
    const std::vector<float> block(static_cast<std::size_t>(kC * t.use * y.use * x.use), 0.7F);
    args.block = block.data();
    run(args);
  });
  for (const float v : canvas.out) ASSERT_NEAR(v, 0.7F, 1e-6);
}

TEST(BlendCpu, EqualsTheWeightedSum) {
  std::mt19937 random(1);
  Canvas canvas;
  std::vector<double> sum(canvas.out.size());
  for_tiles([&](const Tile& t, const Tile& y, const Tile& x) {
    BlendArgs args = canvas.args(t, y, x);
    const std::vector<float> block = random_block(args, random);
    args.block = block.data();
    run(args);
    std::size_t at = 0;
    for (std::int64_t c = 0; c < kC; ++c)
      for (std::int64_t i = 0; i < t.use; ++i)
        for (std::int64_t j = 0; j < y.use; ++j)
          for (std::int64_t k = 0; k < x.use; ++k)
            sum[static_cast<std::size_t>(
                c * canvas.strides.c + canvas.strides.at(t.begin + i, y.begin + j, x.begin + k))] +=
                weight(t, i) * weight(y, j) * weight(x, k) * block[at++];
  });
  for (std::size_t i = 0; i < sum.size(); ++i) ASSERT_NEAR(canvas.out[i], sum[i], 2e-6) << i;
}

TEST(BlendCpu, BoxesOfATileEqualTheTile) {
  std::mt19937 random(2);
  Canvas whole;
  Canvas parts;
  parts.strides = {1, kHeight * kWidth * kC, kWidth * kC, kC};  // NHWC
  for_tiles([&](const Tile& t, const Tile& y, const Tile& x) {
    BlendArgs args = whole.args(t, y, x);
    const std::vector<float> block = random_block(args, random);
    args.block = block.data();
    run(args);
    // Boxes of 3 x 2 x 4 and what is left at the ends, in raster order with time inside.
    for (std::int64_t j = 0; j < y.use; j += 2)
      for (std::int64_t k = 0; k < x.use; k += 4)
        for (std::int64_t i = 0; i < t.use; i += 3) {
          BlendArgs box = parts.args(t, y, x);
          box.t.offset = i, box.t.size = std::min<std::int64_t>(3, t.use - i);
          box.y.offset = j, box.y.size = std::min<std::int64_t>(2, y.use - j);
          box.x.offset = k, box.x.size = std::min<std::int64_t>(4, x.use - k);
          box.block = block.data() + args.block_strides.at(i, j, k);
          run(box);
        }
  });
  for (std::int64_t c = 0; c < kC; ++c)
    for (std::int64_t i = 0; i < kFrames * kHeight * kWidth; ++i)
      ASSERT_EQ(whole.out[static_cast<std::size_t>(c * whole.strides.c + i)],
                parts.out[static_cast<std::size_t>(i * kC + c)]);
}

TEST(BlendCpu, FinishesWithAffineClampAndNan) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<float> block = {-3.0F, 0.0F, 0.5F, 3.0F, nan, inf, -inf};
  std::vector<BFloat16> out(block.size());
  BlendArgs args;
  args.channels = 1;
  args.t = args.y = {1, 0, 1, 0, 0, 0, 0};
  args.x = {7, 0, 7, 0, 0, 0, 0};
  args.block = block.data();
  args.block_strides = {7, 7, 7, 1};
  args.out = out.data();
  args.out_dtype = DType::bfloat16;
  args.out_strides = {7, 7, 7, 1};
  args.scale = 0.5F;
  args.shift = 0.5F;
  args.lo = 0.0F;
  args.hi = 1.0F;
  run(args);
  const std::vector<float> wanted = {0.0F, 0.5F, 0.75F, 1.0F, nan, 1.0F, 0.0F};
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (std::isnan(wanted[i])) {
      EXPECT_TRUE(std::isnan(to_float(out[i])));
    } else {
      EXPECT_EQ(to_float(out[i]), wanted[i]) << i;
    }
  }
}

TEST(BlendCpu, EmptyBoxTouchesNothing) {
  BlendArgs args;  // every pointer null
  args.channels = 3;
  args.t = args.y = {4, 0, 4, 0, 2, 0, 0};
  args.x = {0, 0, 4, 2, 2, 0, 0};
  run(args);
  for (const BlendTask& task : blend_tasks(args)) EXPECT_TRUE(task.empty());
}

TEST(Half, EveryPatternSurvivesAFloat) {
  for (std::uint32_t bits = 0; bits < 0x10000U; ++bits) {
    const auto pattern = static_cast<std::uint16_t>(bits);
    const float half = to_float(Half{pattern});
    const float brain = to_float(BFloat16{pattern});
    Half half_back{};
    BFloat16 brain_back{};
    from_float(half, half_back);
    from_float(brain, brain_back);
    if (std::isnan(half)) {
      EXPECT_TRUE(std::isnan(to_float(half_back)));
    } else {
      EXPECT_EQ(half_back.bits, pattern);
    }
    if (std::isnan(brain)) {
      EXPECT_TRUE(std::isnan(to_float(brain_back)));
    } else {
      EXPECT_EQ(brain_back.bits, pattern);
    }
  }
}

TEST(Half, RoundsToNearestEvenAndOverflows) {
  const auto half = [](float v) {
    Half h{};
    from_float(v, h);
    return to_float(h);
  };
  EXPECT_EQ(half(1.0F + 0x1p-11F), 1.0F);                // a tie, to even
  EXPECT_EQ(half(1.0F + 0x1.8p-10F), 1.0F + 0x1p-9F);    // a tie, to even, upwards
  EXPECT_EQ(half(1.0F + 0x1.01p-11F), 1.0F + 0x1p-10F);  // just above the tie
  EXPECT_EQ(half(65504.0F), 65504.0F);
  EXPECT_EQ(half(65519.0F), 65504.0F);
  EXPECT_TRUE(std::isinf(half(65520.0F)));
  EXPECT_TRUE(std::isinf(half(1e30F)));
  EXPECT_EQ(half(-0x1p-24F), -0x1p-24F);  // the smallest subnormal
  EXPECT_EQ(half(0x1p-25F), 0.0F);        // a tie, to even
  EXPECT_EQ(half(0x1.8p-24F), 0x1p-23F);
}

}  // namespace
}  // namespace truetile
