#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "kernels/copy_boxes.hpp"
#include "kernels/cuda/pixel_layout.hpp"

// How boxes of any sizes are shared out among the warps of one launch: host code, decided once,
// and the index arithmetic of the kernel. A warp copies a segment of a row of one box.

namespace truetile::cuda {

constexpr int kCopyUnits = 4;                        // that a lane has in flight
constexpr int kCopyStep = kPixelLanes * kCopyUnits;  // units that a warp has

/// A box in units that are copied whole: 16 bytes where everything allows that, else an element.
struct BoxUnits {
  const void* source = nullptr;
  void* target = nullptr;
  PixelStrides source_strides, target_strides;
  std::int64_t rows = 0;      ///< of a frame
  std::int64_t line = 0;      ///< units of a row
  std::int64_t run = 0;       ///< adjacent units: a pixel, or a row without gaps
  std::int64_t segments = 0;  ///< of a row
  bool vectors = false;       ///< units are 16 bytes

  /// Where unit x of a row begins, from the row's first.
  [[nodiscard]] constexpr std::int64_t at(std::int64_t x, std::int64_t stride_w) const noexcept {
    if (run == line) return x;
    const std::int64_t w = x / run;
    return w * stride_w + (x - w * run);
  }
};

struct CopyBoxesLayout {
  std::array<BoxUnits, kMaxCopiedBoxes> boxes;
  std::array<std::int64_t, kMaxCopiedBoxes> first{};  ///< item of each box; unused boxes: `items`
  std::int64_t segment = 0;                           ///< units of a row that a warp copies
  std::int64_t items = 0;                             ///< segments of all rows of all boxes
};

/// What one warp copies: units [begin, end) of a row.
struct BoxItem {
  std::size_t box = 0;
  std::int64_t t = 0, h = 0, begin = 0, end = 0;
};

[[nodiscard]] inline BoxUnits box_units(const BoxCopy& box, std::int64_t element_size) noexcept {
  const bool gapless = box.gapless();
  const auto strides_taken = [&](const PixelStrides& s) {
    return PixelStrides{
        .t = box.frames == 1 ? 0 : s.t, .h = box.rows == 1 ? 0 : s.h, .w = gapless ? 0 : s.w};
  };
  BoxUnits units;
  units.source = box.source;
  units.target = box.target;
  units.source_strides = strides_taken(box.source_strides);
  units.target_strides = strides_taken(box.target_strides);
  units.rows = box.rows;
  units.line = box.line();
  units.run = gapless ? box.line() : box.channels;
  const std::int64_t width = 16 / element_size;
  const auto aligned = [&](const void* data, const PixelStrides& s) {
    return reinterpret_cast<std::uintptr_t>(data) % 16 == 0 && s.t % width == 0 &&
           s.h % width == 0 && s.w % width == 0;
  };
  units.vectors = units.run % width == 0 && aligned(units.source, units.source_strides) &&
                  aligned(units.target, units.target_strides);
  if (!units.vectors) return units;
  for (PixelStrides* s : {&units.source_strides, &units.target_strides}) {
    *s = {.t = s->t / width, .h = s->h / width, .w = s->w / width};
  }
  units.line /= width;
  units.run /= width;
  return units;
}

[[nodiscard]] inline CopyBoxesLayout copy_boxes_layout(const CopyBoxesArgs& args) noexcept {
  CopyBoxesLayout layout;
  const auto count = static_cast<std::size_t>(args.count);
  std::int64_t steps = 0;
  for (std::size_t i = 0; i < count; ++i) {
    layout.boxes[i] = box_units(args.boxes[i], args.element_size);
    steps += args.boxes[i].lines() * ((layout.boxes[i].line + kCopyStep - 1) / kCopyStep);
  }
  // Long segments where there is work enough for all processors, else many.
  constexpr std::int64_t kMaxSteps = 16;
  constexpr std::int64_t kFill = 8192;  // warps
  layout.segment = kCopyStep * std::clamp<std::int64_t>(steps / kFill, 1, kMaxSteps);
  for (std::size_t i = 0; i < count; ++i) {
    BoxUnits& box = layout.boxes[i];
    box.segments = (box.line + layout.segment - 1) / layout.segment;
    layout.first[i] = layout.items;
    layout.items += args.boxes[i].lines() * box.segments;
  }
  std::fill(layout.first.begin() + args.count, layout.first.end(), layout.items);
  return layout;
}

/// Item i of layout.items.
[[nodiscard]] constexpr BoxItem box_item(const CopyBoxesLayout& layout, std::int64_t i) noexcept {
  BoxItem item;
  for (std::size_t k = 1; k < kMaxCopiedBoxes; ++k) item.box += i >= layout.first[k] ? 1 : 0;
  const BoxUnits& box = layout.boxes[item.box];
  i -= layout.first[item.box];
  const std::int64_t row = i / box.segments;
  item.begin = (i - row * box.segments) * layout.segment;
  const std::int64_t end = item.begin + layout.segment;
  item.end = end < box.line ? end : box.line;
  item.t = row / box.rows;
  item.h = row - item.t * box.rows;
  return item;
}

}  // namespace truetile::cuda
