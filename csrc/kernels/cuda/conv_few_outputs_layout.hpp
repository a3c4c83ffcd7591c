#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/conv_few_outputs.hpp"

// Who works on what in the CUDA kernel of conv_few_outputs, and where it lies in shared memory:
// host code too, so that it is proven without a GPU.
//
// Tensor cores make 16 pixels x 8 columns of 16 channels at once. The columns are a row of the
// kernel: its three taps times four outputs, 12 of 16. So a fragment of pixels is loaded once for
// three taps, and what a tap makes of a pixel belongs to the output so many pixels before it.

namespace truetile::cuda::conv_few {

constexpr int kWarps = 8;
constexpr int kThreads = 32 * kWarps;
constexpr int kRows = 4;                    ///< of output, of a block
constexpr int kReadRows = kRows + 2;        ///< of input
constexpr int kReadColumns = 64;            ///< of input
constexpr int kColumns = kReadColumns - 2;  ///< of output
constexpr int kFragment = 16;               ///< pixels, or channels, at once
constexpr int kFragments = kRows * kReadColumns / kFragment / kWarps;  ///< of pixels, of a warp
constexpr int kWarpPixels = kFragments * kFragment;
constexpr int kOutputs = ConvFewOutputsArgs::kMostOutputs;
constexpr int kSums = 3 * kOutputs;  ///< what a pixel makes with a row of the kernel
constexpr int kSlice = 32;           ///< channels that are in shared memory at once
constexpr int kPart = 8;             ///< channels of 16 bytes
constexpr int kParts = kSlice / kPart;

// A stage is pixels, and behind them the kernel: rows of a slice of channels.
constexpr int kRowBytes = 2 * kSlice;
constexpr int kPixels = kReadRows * kReadColumns;
[[nodiscard]] constexpr int stage_bytes(int taps_t) noexcept {
  return (kPixels + taps_t * 3 * kFragment) * kRowBytes;
}
constexpr int kSumBytes = kRows * kReadColumns * kSums * 4;
[[nodiscard]] constexpr int shared_bytes(int taps_t) noexcept {
  return 2 * stage_bytes(taps_t) + kSumBytes;
}

/// Byte of a row's 16-byte part in a stage. Eight rows in turn, from a multiple of eight on, lie in
/// different banks. Part p ^ 2 lies at this ^ 32, whatever the row.
[[nodiscard]] constexpr int part_at(int row, int part) noexcept {
  return row * kRowBytes + ((part ^ (row / 2 % 4)) * 16);
}
/// The row of a stage that holds one output's weights of a tap; `tap` counts (t, y, x).
[[nodiscard]] constexpr int weight_row(int tap, int output) noexcept {
  return kPixels + tap / 3 * kFragment + tap % 3 * kOutputs + output;
}

// What each lane points at for ldmatrix.x4, from the fragment's first row on: four matrices of 8
// rows x 8 channels, one after the other.

/// Of pixels: rows 0-7, rows 8-15, and both again 8 channels on.
[[nodiscard]] constexpr int pixel_part(int lane) noexcept { return part_at(lane % 16, lane / 16); }
/// Of weights: rows 0-7, the same 8 channels on, and rows 8-15 likewise.
[[nodiscard]] constexpr int weight_part(int lane) noexcept {
  return part_at(lane / 16 * 8 + lane % 8, lane / 8 % 2);
}

// What the first two of a lane's four sums of an mma are of; the others are 8 pixels on.
[[nodiscard]] constexpr int sum_pixel(int lane) noexcept { return lane / 4; }
[[nodiscard]] constexpr int sum_column(int lane) noexcept { return lane % 4 * 2; }

/// Number of a pixel's sum in shared memory; `pixel` counts in the block's rows of output.
[[nodiscard]] constexpr int sum_at(int pixel, int column) noexcept {
  return pixel * kSums + column;
}
/// The sum of `tap` that belongs to an output of the pixel.
[[nodiscard]] constexpr int sum_of(int pixel, int tap, int output) noexcept {
  return sum_at(pixel + tap, tap * kOutputs + output);
}

/// The part of a block's input that a stage holds: 32 channels, or the last 16, of a frame.
struct Slice {
  int frame = 0, channel = 0;

  constexpr void next(std::int64_t channels) noexcept {
    channel += kSlice;
    if (channel < channels) return;
    channel = 0;
    ++frame;
  }
};

/// The part of `out` that a block makes.
struct Box {
  std::int64_t frame = 0, row = 0, column = 0;
  int frames = 0, rows = 0, columns = 0;
};

/// How the output is shared out among blocks.
struct Layout {
  std::int64_t frames = 1;  ///< of a block, one after the other: an input frame is read once
  std::int64_t row_boxes = 0, column_boxes = 0, frame_boxes = 0;

  [[nodiscard]] constexpr std::int64_t blocks() const noexcept {
    return row_boxes * column_boxes * frame_boxes;
  }
  [[nodiscard]] constexpr Box box(const ConvFewOutputsArgs& args,
                                  std::int64_t block) const noexcept {
    const std::int64_t column = block % column_boxes * kColumns;
    const std::int64_t row = block / column_boxes % row_boxes * kRows;
    const std::int64_t frame = block / column_boxes / row_boxes * frames;
    const auto least = [](std::int64_t a, std::int64_t b) {
      return static_cast<int>(a < b ? a : b);
    };
    return {.frame = frame,
            .row = row,
            .column = column,
            .frames = least(frames, args.frames - frame),
            .rows = least(kRows, args.rows - row),
            .columns = least(kColumns, args.columns - column)};
  }
};

/// @param at_once blocks that the device runs at once
[[nodiscard]] constexpr Layout layout_of(const ConvFewOutputsArgs& args,
                                         std::int64_t at_once) noexcept {
  const auto over = [](std::int64_t a, std::int64_t b) { return (a + b - 1) / b; };
  Layout layout;
  layout.column_boxes = over(args.columns, kColumns);
  layout.row_boxes = over(args.rows, kRows);
  const std::int64_t boxes = layout.column_boxes * layout.row_boxes;
  if (boxes == 0 || args.frames == 0) {
    return layout;
  }
  // Long runs of frames, unless the device would idle.
  const std::int64_t runs = std::clamp<std::int64_t>(at_once / boxes, 1, args.frames);
  layout.frames = over(args.frames, runs);
  layout.frame_boxes = over(args.frames, layout.frames);
  return layout;
}

}  // namespace truetile::cuda::conv_few
