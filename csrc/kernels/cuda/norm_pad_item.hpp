#pragma once

#include "kernels/cuda/pixel_layout.hpp"
#include "kernels/norm_pad.hpp"

// The index arithmetic of norm_pad on CUDA, which the host tests too.

namespace truetile::cuda {

/// What one warp does: columns [begin, end) of a row of x, or of a border row of `out`.
struct NormPadItem {
  std::int64_t t = 0;
  NormPadRow row;
  std::int64_t begin = 0, end = 0;
  bool first = false, last = false;  ///< segment of its row
};

[[nodiscard]] inline PixelLayout norm_pad_layout(const NormPadArgs& args) noexcept {
  const auto floats_aligned = [](const float* data, std::int64_t stride) {
    return pixels_aligned(data, DType::float32, {.t = stride, .h = 0, .w = 0});
  };
  const bool aligned = pixels_aligned(args.x, args.dtype, args.x_strides) &&
                       pixels_aligned(args.out, args.dtype, args.out_strides) &&
                       floats_aligned(args.scale, args.scale_t) &&
                       floats_aligned(args.shift, args.shift_t);
  return pixel_layout(args.channels, args.dtype, aligned, args.frames * args.work_rows(),
                      args.source_columns());
}

/// Item i of layout.items.
[[nodiscard]] constexpr NormPadItem norm_pad_item(const NormPadArgs& args,
                                                  const PixelLayout& layout,
                                                  std::int64_t i) noexcept {
  const std::int64_t work = i / layout.segments;
  const std::int64_t segment = i - work * layout.segments;
  NormPadItem item;
  item.t = work / args.work_rows();
  item.row = norm_pad_row(args, work - item.t * args.work_rows());
  item.first = segment == 0;
  item.last = segment == layout.segments - 1;
  const std::int64_t columns = item.row.border ? args.padded_columns : args.source_columns();
  // What a segment of a row of x becomes; the last one of a border row takes the corners too.
  const std::int64_t length = layout.segment * (item.row.border ? args.up : 1);
  item.begin = segment * length < columns ? segment * length : columns;
  const std::int64_t end = item.begin + length;
  item.end = item.last || end > columns ? columns : end;
  return item;
}

}  // namespace truetile::cuda
