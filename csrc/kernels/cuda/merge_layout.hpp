#pragma once

#include "kernels/cuda/pixel_layout.hpp"
#include "kernels/merge.hpp"

// How a merge is shared out among warps: host code, tested without a device.

namespace truetile::cuda {

[[nodiscard]] inline bool merge_aligned(const MergeArgs& args) noexcept {
  return pixels_aligned(args.y, args.dtype, args.y_strides) &&
         pixels_aligned(args.residual, args.dtype, args.residual_strides) &&
         pixels_aligned(args.out, args.dtype, args.out_strides) &&
         pixels_aligned(args.bias, args.bias_dtype, {});
}

/// Without a bias all channels are alike: a pixel of many 16-byte vectors becomes as many pixels
/// of one, where rows are gapless, so that a warp's loads and stores are runs of 512 bytes.
[[nodiscard]] inline MergeArgs merge_with_narrow_pixels(MergeArgs args) noexcept {
  const std::int64_t width = 16 / element_size(args.dtype);
  const auto gapless = [&](const void* data, const PixelStrides& strides) {
    return data == nullptr || strides.w == args.channels;
  };
  if (args.bias != nullptr || args.channels % width != 0 || !merge_aligned(args) ||
      !gapless(args.y, args.y_strides) || !gapless(args.residual, args.residual_strides) ||
      !gapless(args.out, args.out_strides)) {
    return args;
  }
  args.columns *= args.channels / width;
  args.channels = args.y_strides.w = args.residual_strides.w = args.out_strides.w = width;
  return args;
}

[[nodiscard]] inline PixelLayout merge_layout(const MergeArgs& args) noexcept {
  return pixel_layout(args.channels, args.dtype, merge_aligned(args), args.frames * args.rows,
                      args.columns);
}

}  // namespace truetile::cuda
