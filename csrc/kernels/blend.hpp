#pragma once

#include <array>
#include <cstdint>
#include <limits>

#include "kernels/dtype.hpp"
#include "kernels/geometry.hpp"

// The type behind cudaStream_t, so that no CUDA header is needed to name a launcher.
struct CUstream_st;

namespace truetile {

/// Arguments of `blend_tile`, checked already: nothing below looks at bounds again.
///
/// Line buffers are float32 and may be null where their axis has no zone:
/// line_x [C, T, use y, x zone], line_y [C, T, y zone, W], line_t [C, t zone, use y, use x], where
/// T and W count frames and columns of the canvas, "use" positions in the tile's used part and
/// "zone" slots of the fade zone.
struct BlendArgs {
  std::int64_t channels = 0;
  BlendAxis t, y, x;
  const void* block = nullptr;  ///< [C, t, y, x]
  DType block_dtype = DType::float32;
  Strides block_strides;
  void* out = nullptr;  ///< [C, T, H, W], memory that the device can write
  DType out_dtype = DType::float32;
  Strides out_strides;
  float* line_x = nullptr;
  Strides line_x_strides;
  float* line_y = nullptr;
  Strides line_y_strides;
  float* line_t = nullptr;
  Strides line_t_strides;
  float scale = 1.0F, shift = 0.0F;  ///< a finished value becomes clamp(v * scale + shift, lo, hi)
  float lo = -std::numeric_limits<float>::infinity();
  float hi = std::numeric_limits<float>::infinity();
};

/// Float32 values that are added to a region's first `led()` elements on one axis; null adds none.
struct BlendLine {
  const float* data = nullptr;
  Strides strides;
};

/// One box of pixels with one destination. All pointers address the box's first element.
struct BlendTask {
  std::int64_t channels = 0;
  Ramp t, y, x;
  const void* block = nullptr;
  DType block_dtype = DType::float32;
  Strides block_strides;
  void* dst = nullptr;
  DType dst_dtype = DType::float32;
  Strides dst_strides;
  BlendLine line_t, line_x, line_y;
  float scale = 1.0F, shift = 0.0F;
  float lo = -std::numeric_limits<float>::infinity();
  float hi = std::numeric_limits<float>::infinity();

  /// Whether every value goes to `dst` by the affine step alone: no weights, no lines.
  [[nodiscard]] constexpr bool flat() const noexcept { return t.flat() && y.flat() && x.flat(); }

  [[nodiscard]] constexpr bool empty() const noexcept {
    return channels == 0 || t.size == 0 || y.size == 0 || x.size == 0;
  }
};

/// Split a call into boxes with one destination each, in the order in which they must run.
///
/// A value is folded along t, then x, then y: it takes what the tile before left in the line buffer
/// and, if it lies in a fade-out zone, is stored there itself and goes no further. Time comes first
/// because chunks are the innermost loop: line_t lives inside one spatial tile, and line_x, which
/// all chunks of a tile share, may only hold finished frames.
/// First come the boxes of `out`: the interior, which needs no weights and is most of a tile, then
/// the fade-in zones on x, y and t around it; then the fade-out zones to line_y, line_x and line_t.
/// This order makes the line buffers safe in place: slot i of a zone
/// is read at index i and overwritten at index i + use - tail, and every box writes one buffer that
/// only boxes before it read. So no box has a hazard inside, whatever order its threads run in.
[[nodiscard]] std::array<BlendTask, 7> blend_tasks(const BlendArgs& args) noexcept;

/// Run rows [begin, end) of a task on the CPU, of task.t.size * task.y.size rows in all.
/// Rows are independent: callers may split them over threads.
void blend_rows_cpu(const BlendTask& task, std::int64_t begin, std::int64_t end) noexcept;

/// Run a call on the current CUDA device, in order on `stream`, without waiting for it.
/// @throws std::runtime_error when a launch fails.
void blend_tile_cuda(const BlendArgs& args, CUstream_st* stream);

}  // namespace truetile
