#pragma once

#include <array>
#include <cstdint>

#include "kernels/pixels.hpp"

struct CUstream_st;

namespace truetile {

constexpr int kMaxCopiedBoxes = 4;  ///< of a call

/// A box [frames, rows, columns, channels] and where it is copied to; strides in elements.
struct BoxCopy {
  const void* source = nullptr;
  void* target = nullptr;
  PixelStrides source_strides, target_strides;
  std::int64_t frames = 0, rows = 0, columns = 0, channels = 0;

  [[nodiscard]] constexpr std::int64_t lines() const noexcept { return frames * rows; }
  [[nodiscard]] constexpr std::int64_t line() const noexcept { return columns * channels; }
  [[nodiscard]] constexpr bool empty() const noexcept { return lines() == 0 || line() == 0; }

  /// Whether a row's elements are adjacent, in the source and in the target.
  [[nodiscard]] constexpr bool gapless() const noexcept {
    return columns == 1 || (source_strides.w == channels && target_strides.w == channels);
  }
};

/// The arguments of `truetile::copy_boxes`, checked: the boxes that hold something. No target
/// overlaps a source or another target.
struct CopyBoxesArgs {
  std::array<BoxCopy, kMaxCopiedBoxes> boxes;
  int count = 0;
  std::int64_t element_size = 0;  ///< bytes: 2 or 4
};

/// Rows [begin, end) of those of all boxes one after the other, on the CPU.
void copy_box_rows_cpu(const CopyBoxesArgs& args, std::int64_t begin, std::int64_t end) noexcept;

/// All of it in one launch.
/// @throws std::runtime_error when the launch is refused.
void copy_boxes_cuda(const CopyBoxesArgs& args, CUstream_st* stream);

}  // namespace truetile
