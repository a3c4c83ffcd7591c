#pragma once

#include "kernels/cuda/pixel_layout.hpp"
#include "kernels/merge_norm_pad.hpp"

// The index arithmetic of norm_pad and merge_norm_pad on CUDA, which the host tests too.

namespace truetile::cuda {

/// What one warp does: columns [begin, end) of a row of the window, or of a row of zeros.
struct NormPadItem {
  std::int64_t t = 0;
  MergeNormPadRow row;
  std::int64_t begin = 0, end = 0;
  bool first = false, last = false;  ///< segment of its row

  [[nodiscard]] constexpr bool border() const noexcept {
    return row.window == MergeNormPadRow::kNone;
  }
  [[nodiscard]] constexpr bool normed() const noexcept { return row.out != MergeNormPadRow::kNone; }
};

/// norm_pad as a merge_norm_pad that merges nothing.
[[nodiscard]] constexpr MergeNormPadArgs norm_only(const NormPadArgs& args) noexcept {
  return {.merge = {},
          .norm = args,
          .fresh = args.rows(),
          .rows = args.rows(),
          .columns = args.columns()};
}

[[nodiscard]] inline bool norm_pad_aligned(const NormPadArgs& args) noexcept {
  const auto floats_aligned = [](const float* data, std::int64_t stride) {
    return pixels_aligned(data, DType::float32, {.t = stride, .h = 0, .w = 0});
  };
  return pixels_aligned(args.x, args.dtype, args.x_strides) &&
         pixels_aligned(args.out, args.dtype, args.out_strides) &&
         floats_aligned(args.scale, args.scale_t) && floats_aligned(args.shift, args.shift_t);
}

[[nodiscard]] inline PixelLayout norm_pad_layout(const MergeNormPadArgs& args,
                                                 bool aligned) noexcept {
  const NormPadArgs& norm = args.norm;
  return pixel_layout(norm.channels, norm.dtype, aligned, norm.frames * args.work_rows(),
                      args.columns);
}

/// Item i of layout.items.
[[nodiscard]] constexpr NormPadItem norm_pad_item(const MergeNormPadArgs& args,
                                                  const PixelLayout& layout,
                                                  std::int64_t i) noexcept {
  const std::int64_t work = i / layout.segments;
  const std::int64_t segment = i - work * layout.segments;
  NormPadItem item;
  item.t = work / args.work_rows();
  item.row = merge_norm_pad_row(args, work - item.t * args.work_rows());
  item.first = segment == 0;
  item.last = segment == layout.segments - 1;
  const std::int64_t columns = item.border() ? args.norm.padded_columns : args.columns;
  item.begin = segment * layout.segment < columns ? segment * layout.segment : columns;
  // The last segment of a border row takes what lies beside the interior too.
  const std::int64_t end = item.begin + layout.segment;
  item.end = item.last || end > columns ? columns : end;
  return item;
}

}  // namespace truetile::cuda
