#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "kernels/blend.hpp"
#include "kernels/cuda/blend_layout.hpp"

// Zones are a small part of a tile but many boxes, some of them narrow: what counts is that few
// launches fill the device and that no lanes idle. This is the host's part, decided once a call.

namespace truetile::cuda {

constexpr int kMaxBoxes = 7;   // of a launch: every box of a call
constexpr int kZoneWarps = 4;  // of a block
constexpr int kSteps = 2;      // runs of rows that a warp works on in turn
constexpr std::int64_t kMaxBlocks = std::int64_t{1} << 28;  // of a box

/// Division by a number that is known before the launch: a processor has no instruction for it.
struct Divisor {
  unsigned factor = 0;
  int shift = 0;

  /// n / d, exact for n < kMaxBlocks.
  [[nodiscard]] constexpr unsigned quotient(unsigned n) const noexcept {
    return static_cast<unsigned>((std::uint64_t{n} * factor) >> shift);
  }
};

/// The divisor of 1 <= d <= kMaxBlocks: 2^shift / d, rounded up. With 2^(shift - 28) >= d the
/// error, less than d / 2^shift a unit of n, stays below 1 / d.
[[nodiscard]] constexpr Divisor divisor_of(unsigned d) noexcept {
  int shift = 28;
  while ((std::uint64_t{1} << (shift - 28)) < d) ++shift;
  const std::uint64_t one = std::uint64_t{1} << shift;
  return {.factor = static_cast<unsigned>((one + d - 1) / d), .shift = shift};
}

/// A ramp with what its weights need ready: most elements weigh 1, the others need no division.
struct Fade {
  std::int64_t flat_begin = 0, flat_end = 0;  ///< elements of the box that weigh 1
  std::int64_t begin = 0, tail_begin = 0;     ///< as in Ramp
  float lead = 0, per_lead = 0;  ///< length of a zone and its inverse; 0 where there is none
  float tail = 0, per_tail = 0;
};

/// A line and the part of the box, from its first element, in which it is added.
struct ZoneLine {
  const float* data = nullptr;
  Strides strides;
  std::int64_t t = 0, y = 0, x = 0;
  bool vector = false;  ///< whether quads that lie in that part may be read at once
};

/// One box of a launch. A warp takes several rows where the box is narrow.
struct ZoneBox {
  std::int64_t groups = 0, t = 0, y = 0, x = 0;  ///< sizes; a group has Layout::channels channels
  Fade fade_t, fade_y, fade_x;
  const void* block = nullptr;
  Strides block_strides;
  void* dst = nullptr;
  Strides dst_strides;
  std::array<ZoneLine, 3> lines;  ///< in the order in which they are added
  float scale = 1.0F, shift = 0.0F, lo = 0.0F, hi = 0.0F;
  bool finishes = false;  ///< whether these do anything: not for lines
  Layout layout;
  int lane_bits = 5;                                  ///< 2^lane_bits lanes share a row
  unsigned blocks_x = 1, blocks_y = 1, blocks_z = 1;  ///< of a layer
  Divisor per_x, per_y;                               ///< by blocks_x and blocks_y
  unsigned layers_y = 1, layers_z = 1;

  [[nodiscard]] unsigned blocks() const noexcept { return blocks_x * blocks_y * blocks_z; }
};

/// The boxes of one launch: box i has the blocks from first[i] up to first[i + 1].
struct ZoneBatch {
  std::array<ZoneBox, kMaxBoxes> boxes;
  std::array<unsigned, kMaxBoxes> first{};
  unsigned count = 0, blocks = 0;
  unsigned layers_y = 1, layers_z = 1;  ///< as many as its largest box needs

  void add(const ZoneBox& box) noexcept {
    first[count] = blocks;
    boxes[count] = box;
    blocks += box.blocks();
    layers_y = std::max(layers_y, box.layers_y);
    layers_z = std::max(layers_z, box.layers_z);
    ++count;
  }
};
static_assert(sizeof(ZoneBatch) <= 4096, "kernel parameters");

[[nodiscard]] inline Fade fade_of(const Ramp& ramp) noexcept {
  const auto lead = static_cast<float>(ramp.lead);
  const auto tail = static_cast<float>(ramp.tail);
  return {.flat_begin = ramp.led(),
          .flat_end = ramp.untailed(),
          .begin = ramp.begin,
          .tail_begin = ramp.tail_begin,
          .lead = lead,
          .per_lead = ramp.lead > 0 ? 1.0F / lead : 0.0F,
          .tail = tail,
          .per_tail = ramp.tail > 0 ? 1.0F / tail : 0.0F};
}

/// How many lanes share a row, as a power of two, so that few of them idle. Long runs of a row are
/// better for the memory: only a gain of an eighth is worth shorter ones.
[[nodiscard]] inline int lane_bits_of(std::int64_t quads) noexcept {
  const auto taken = [&](int bits) { return (((quads - 1) >> bits) + 1) << bits; };
  if (quads <= 4) return 2;
  int best = 5;
  for (int bits = 4; bits >= 3; --bits) {
    if (8 * taken(bits) <= 7 * taken(best)) best = bits;
  }
  return best;
}

[[nodiscard]] inline ZoneBox zone_box(const BlendTask& task) noexcept {
  ZoneBox box;
  box.layout = layout_of(task);
  box.groups = task.channels / box.layout.channels;
  box.t = task.t.size;
  box.y = task.y.size;
  box.x = task.x.size;
  box.fade_t = fade_of(task.t);
  box.fade_y = fade_of(task.y);
  box.fade_x = fade_of(task.x);
  box.block = task.block;
  box.block_strides = task.block_strides;
  box.dst = task.dst;
  box.dst_strides = task.dst_strides;
  const auto line = [&](const BlendLine& from, std::int64_t t, std::int64_t y, std::int64_t x) {
    const bool any = from.data != nullptr;
    return ZoneLine{.data = from.data,
                    .strides = from.strides,
                    .t = any ? t : 0,
                    .y = any ? y : 0,
                    .x = any ? x : 0,
                    .vector = any && quads_fit(task, from.data, DType::float32, from.strides,
                                               box.layout.shift)};
  };
  box.lines = {line(task.line_t, task.t.led(), box.y, box.x),
               line(task.line_x, box.t, box.y, task.x.led()),
               line(task.line_y, box.t, task.y.led(), box.x)};
  box.scale = task.scale;
  box.shift = task.shift;
  box.lo = task.lo;
  box.hi = task.hi;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  box.finishes =
      task.scale != 1.0F || task.shift != 0.0F || task.lo != -kInfinity || task.hi != kInfinity;

  const std::int64_t quads = box.layout.quads(box.x);
  box.lane_bits = lane_bits_of(quads);
  const std::int64_t lanes = std::int64_t{1} << box.lane_bits;
  // All boxes of a launch together stay below 2^31 blocks; more layers do the rest. A row has less
  // than 2^35 pixels.
  std::int64_t left = kMaxBlocks;
  const auto share = [&left](std::int64_t n, std::int64_t a_block, unsigned& blocks) {
    const std::int64_t needed = (n + a_block - 1) / a_block;
    const std::int64_t taken = std::min(left, needed);
    left /= taken;
    blocks = static_cast<unsigned>(taken);
    return static_cast<unsigned>((needed + taken - 1) / taken);
  };
  share(quads, lanes, box.blocks_x);
  box.layers_y = share(box.y, std::int64_t{kZoneWarps} * kSteps * (kLanes / lanes), box.blocks_y);
  box.layers_z = share(box.t * box.groups, 1, box.blocks_z);
  box.per_x = divisor_of(box.blocks_x);
  box.per_y = divisor_of(box.blocks_y);
  return box;
}

/// The launch of each task, counted from 0, or -1 for an empty one. Tasks share a launch when one
/// kernel serves them and no task writes a line that another one reads: within a launch there is no
/// order. A task that reads what another one wrote does not exist, see blend_tasks.
[[nodiscard]] inline std::array<int, 7> launches_of(
    const std::array<BlendTask, 7>& tasks) noexcept {
  // The interior has a kernel of its own, which needs fewer registers. For a small tile that gain
  // is less than the cost of a launch.
  constexpr std::int64_t kSmall = std::int64_t{1} << 22;
  const BlendTask& interior = tasks[0];
  const bool small =
      interior.channels * interior.t.size * interior.y.size * interior.x.size < kSmall;
  constexpr std::array<BlendLine BlendTask::*, 7> kWrites = {
      nullptr,           nullptr, nullptr, nullptr, &BlendTask::line_y, &BlendTask::line_x,
      &BlendTask::line_t};
  std::array<int, 7> launches{};
  std::size_t first = 0;  // task of the present launch
  int launch = -1;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    launches[i] = -1;
    if (tasks[i].empty()) continue;
    bool joins = launch >= 0 && tasks[i].dst_dtype == tasks[first].dst_dtype &&
                 three_adjacent(tasks[i], tasks[i].dst_strides) ==
                     three_adjacent(tasks[first], tasks[first].dst_strides);
    joins = joins && (first != 0 || small);
    for (std::size_t k = first; k < i && joins && kWrites[i] != nullptr; ++k) {
      joins = launches[k] != launch || (tasks[k].*kWrites[i]).data == nullptr;
    }
    if (!joins) {
      ++launch;
      first = i;
    }
    launches[i] = launch;
  }
  return launches;
}

}  // namespace truetile::cuda
