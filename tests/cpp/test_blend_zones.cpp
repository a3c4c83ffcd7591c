// How the CUDA launcher makes launches of a call's boxes: host code, so that what may run at the
// same time and who works on what are proven where there is no GPU.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/cuda/blend_zones.hpp"
#include "random.hpp"

namespace truetile::cuda {
namespace {

constexpr std::int64_t kUse = 100;

// Only addresses are computed, nothing is read.
float* address(std::int64_t element) {
  return reinterpret_cast<float*>(static_cast<std::uintptr_t>(1 << 20) +
                                  static_cast<std::uintptr_t>(4 * element));
}

BlendAxis axis(std::int64_t use, std::int64_t lead, std::int64_t tail) {
  return {use, 0, use, lead, tail, 0, 0};
}

BlendArgs args_of(const BlendAxis& t, const BlendAxis& y, const BlendAxis& x) {
  BlendArgs args;
  args.channels = 3;
  args.t = t;
  args.y = y;
  args.x = x;
  const auto planar = [](std::int64_t t_, std::int64_t y_, std::int64_t x_) -> Strides {
    return {t_ * y_ * x_, y_ * x_, x_, 1};
  };
  args.block = address(0);
  args.block_strides = planar(t.use, y.use, x.use);
  args.out = address(1 << 12);
  args.out_strides = {1, y.use * x.use * 3, x.use * 3, 3};
  args.line_x = address(1 << 13);
  args.line_x_strides = planar(t.use, y.use, 16);
  args.line_y = address(1 << 14);
  args.line_y_strides = planar(t.use, 16, x.use);
  args.line_t = address(1 << 15);
  args.line_t_strides = planar(4, y.use, x.use);
  return args;
}

TEST(BlendZones, DivisionIsExact) {
  truetile::testing::Random random(1);
  for (int i = 0; i < 20000; ++i) {
    const auto most = random.one_in(2) ? kMaxBlocks : 1 + random.in(0, 5000);
    const auto d = static_cast<unsigned>(random.in(1, most));
    const Divisor divisor = divisor_of(d);
    const auto n = static_cast<unsigned>(random.in(0, kMaxBlocks - 1));
    const unsigned multiple = n / d * d;
    EXPECT_EQ(divisor.quotient(n), n / d) << n << " / " << d;
    EXPECT_EQ(divisor.quotient(multiple), n / d);
    if (multiple > 0) {
      EXPECT_EQ(divisor.quotient(multiple - 1), n / d - 1);
    }
  }
}

TEST(BlendZones, NarrowRowsShareAWarp) {
  EXPECT_EQ(lane_bits_of(480), 5);
  EXPECT_EQ(lane_bits_of(32), 5);
  EXPECT_EQ(lane_bits_of(16), 4);  // 64 pixels
  EXPECT_EQ(lane_bits_of(17), 3);  // 24 lanes of three runs, not 32 of one
  EXPECT_EQ(lane_bits_of(9), 4);
  EXPECT_EQ(lane_bits_of(8), 3);
  EXPECT_EQ(lane_bits_of(1), 2);
}

TEST(BlendZones, EveryRowAndQuadHasALane) {
  truetile::testing::Random random(2);
  for (int i = 0; i < 2000; ++i) {
    const BlendArgs args = args_of(axis(random.in(1, 9), 0, 0), axis(random.in(1, 200), 0, 0),
                                   axis(random.in(1, 600), 0, 0));
    const ZoneBox box = zone_box(blend_tasks(args)[0]);
    const std::int64_t lanes = std::int64_t{1} << box.lane_bits;
    EXPECT_GE(std::int64_t{box.blocks_x} * lanes, box.layout.quads(box.x));
    EXPECT_LT((std::int64_t{box.blocks_x} - 1) * lanes, box.layout.quads(box.x));
    EXPECT_GE(std::int64_t{box.blocks_y} * kZoneWarps * kSteps * (kLanes / lanes), box.y);
    EXPECT_EQ(box.blocks_z, box.t * box.groups);
    EXPECT_EQ(box.layers_y, 1U);
    EXPECT_EQ(box.layers_z, 1U);
  }
}

TEST(BlendZones, LayersTakeWhatBlocksDoNot) {
  BlendTask task;
  task.channels = 1;
  task.t.size = std::int64_t{1} << 20;
  task.y.size = std::int64_t{1} << 33;
  task.x.size = 1;
  task.dst = address(0);
  task.block = address(0);
  const ZoneBox box = zone_box(task);
  EXPECT_LE(std::int64_t{box.blocks_x} * box.blocks_y * box.blocks_z, kMaxBlocks);
  const std::int64_t rows = std::int64_t{kZoneWarps} * kSteps * (kLanes >> box.lane_bits);
  EXPECT_GE(std::int64_t{box.layers_y} * box.blocks_y * rows, task.y.size);
  EXPECT_GE(std::int64_t{box.layers_z} * box.blocks_z, task.t.size);
}

TEST(BlendZones, WeightsOfTheMiddleAreOne) {
  const BlendArgs args = args_of(axis(8, 2, 2), axis(kUse, 10, 20), axis(kUse, 16, 16));
  for (const BlendTask& task : blend_tasks(args)) {
    const Fade fade = fade_of(task.y);
    for (std::int64_t i = 0; i < task.y.size; ++i) {
      const bool flat = i >= fade.flat_begin && i < fade.flat_end;
      EXPECT_EQ(flat, task.y.weight(i) == 1.0F) << i;
    }
  }
}

TEST(BlendZones, LinesAreReadAsVectorsWhereTheyLieLikeTheDestination) {
  BlendArgs args = args_of(axis(4, 0, 0), axis(kUse, 0, 0), axis(kUse, 16, 16));
  EXPECT_TRUE(zone_box(blend_tasks(args)[1]).lines[1].vector);
  args.line_x = address((1 << 13) + 1);
  EXPECT_FALSE(zone_box(blend_tasks(args)[1]).lines[1].vector);
  args.line_x = address(1 << 13);
  args.line_x_strides.y = 17;
  EXPECT_FALSE(zone_box(blend_tasks(args)[1]).lines[1].vector);
}

TEST(BlendZones, FewLaunches) {
  const auto launches = [](const BlendArgs& args) { return launches_of(blend_tasks(args)); };
  using Launches = std::array<int, 7>;
  // A small tile in the middle of everything: lines are read before they are written.
  EXPECT_EQ(launches(args_of(axis(8, 2, 2), axis(kUse, 10, 20), axis(kUse, 16, 16))),
            (Launches{0, 0, 0, 0, 1, 2, 3}));
  // The first tile reads no lines; its interior has its own kernel.
  EXPECT_EQ(launches(args_of(axis(8, 0, 2), axis(kUse, 0, 20), axis(kUse, 0, 16))),
            (Launches{0, -1, -1, -1, 1, 1, 1}));
  // A large interior stands alone.
  EXPECT_EQ(launches(args_of(axis(8, 0, 0), axis(2000, 10, 20), axis(2000, 16, 16))),
            (Launches{0, 1, 1, -1, 2, 3, -1}));
}

TEST(BlendZones, NoLaunchWritesALineThatItReads) {
  truetile::testing::Random random(3);
  for (int i = 0; i < 5000; ++i) {
    const auto some = [&](std::int64_t use) {
      return axis(use, random.one_in(2) ? 0 : random.in(1, use / 2),
                  random.one_in(2) ? 0 : random.in(1, use / 2));
    };
    BlendArgs args = args_of(some(8), some(kUse), some(kUse));
    if (random.one_in(2)) args.out_strides = args.block_strides;
    const auto tasks = blend_tasks(args);
    const auto launches = launches_of(tasks);
    int last = -1;
    for (std::size_t k = 0; k < tasks.size(); ++k) {
      EXPECT_EQ(launches[k] < 0, tasks[k].empty());
      if (tasks[k].empty()) continue;
      EXPECT_TRUE(launches[k] == last || launches[k] == last + 1);
      last = launches[k];
      for (std::size_t m = 0; m < tasks.size(); ++m) {
        if (launches[m] != launches[k]) continue;
        EXPECT_EQ(tasks[m].dst_dtype, tasks[k].dst_dtype);
        EXPECT_EQ(layout_of(tasks[m]).interleaved_store, layout_of(tasks[k]).interleaved_store);
        EXPECT_TRUE(k != 4 || tasks[m].line_y.data == nullptr);
        EXPECT_TRUE(k != 5 || tasks[m].line_x.data == nullptr);
        EXPECT_TRUE(k != 6 || tasks[m].line_t.data == nullptr);
      }
    }
  }
}

}  // namespace
}  // namespace truetile::cuda
