#pragma once

#include <cstdint>

#include "kernels/blend.hpp"

// How a task's rows are cut into quads of four pixels: host code, decided once a launch.

namespace truetile::cuda {

constexpr int kLanes = 32;  // of a warp
constexpr int kWarps = 8;   // of a block

/// How a quad is fetched from the block.
enum class Load : std::uint8_t {
  pixels,       ///< one by one: any strides, any alignment
  planes,       ///< one vector a channel plane
  interleaved,  ///< three vectors of pixels with three adjacent channels (channels last)
};

struct Layout {
  /// Pixels by which the first quad begins before the row, so that quads are aligned in `dst`.
  std::int64_t shift = 0;
  Load load = Load::pixels;
  bool vector_store = false;
  bool interleaved_store = false;  ///< dst has three adjacent channels a pixel
  int channels = 1;                ///< channels a thread works on

  [[nodiscard]] std::int64_t quads(std::int64_t pixels) const noexcept {
    return (pixels + shift + 3) / 4;
  }
};

/// Position of an address in its group of four elements.
[[nodiscard]] inline std::int64_t phase(const void* data, DType dtype) noexcept {
  return static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(data) /
                                   static_cast<std::uintptr_t>(element_size(dtype)) % 4);
}

/// Whether rows (and planes, where a vector holds one channel) keep that position.
[[nodiscard]] inline bool whole_rows(const BlendTask& task, const Strides& s,
                                     bool planes) noexcept {
  return (task.t.size == 1 || s.t % 4 == 0) && (task.y.size == 1 || s.y % 4 == 0) &&
         (!planes || task.channels == 1 || s.c % 4 == 0);
}

[[nodiscard]] inline bool three_adjacent(const BlendTask& task, const Strides& s) noexcept {
  return task.channels == 3 && s.c == 1 && s.x == 3;
}

/// Whether quads that begin `shift` pixels before a row's first element are vectors in its planes.
[[nodiscard]] inline bool quads_fit(const BlendTask& task, const void* data, DType dtype,
                                    const Strides& s, std::int64_t shift) noexcept {
  return s.x == 1 && phase(data, dtype) == shift && whole_rows(task, s, true);
}

[[nodiscard]] inline Layout layout_of(const BlendTask& task) noexcept {
  Layout layout;
  layout.channels = task.channels == 3 ? 3 : 1;
  const Strides& dst = task.dst_strides;
  layout.interleaved_store = three_adjacent(task, dst);
  if (layout.interleaved_store) {
    layout.vector_store = whole_rows(task, dst, false);
    // The first quad begins at element phase - 3 * shift, a multiple of four when they add up to 4.
    layout.shift = layout.vector_store ? (4 - phase(task.dst, task.dst_dtype)) % 4 : 0;
  } else if (dst.x == 1) {
    layout.vector_store = whole_rows(task, dst, true);
    layout.shift = layout.vector_store ? phase(task.dst, task.dst_dtype) : 0;
  }

  const Strides& block = task.block_strides;
  if (three_adjacent(task, block)) {
    // at - 3 * shift
    const bool aligned = (phase(task.block, task.block_dtype) + layout.shift) % 4 == 0;
    if (aligned && whole_rows(task, block, false)) layout.load = Load::interleaved;
  } else if (quads_fit(task, task.block, task.block_dtype, block, layout.shift)) {
    layout.load = Load::planes;
  }
  return layout;
}

}  // namespace truetile::cuda
