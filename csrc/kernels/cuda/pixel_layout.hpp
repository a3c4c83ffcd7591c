#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>

#include "kernels/dtype.hpp"
#include "kernels/pixels.hpp"

// How rows of pixels are shared out among warps: host code, decided once a launch. A few lanes
// share a pixel, with a few 16-byte vectors each, which stay in registers. A warp works on a
// segment of a row, so that it needs the channels' weights once.

namespace truetile::cuda {

constexpr int kPixelLanes = 32;  // of a warp
constexpr int kPixelWarps = 4;   // of a block: few, so that registers leave no large rest

/// Pixels that a lane has in flight, so that it loads three to eight vectors at once.
[[nodiscard]] constexpr int pixels_in_flight(int vectors) noexcept {
  return vectors == 1 ? 4 : vectors < 4 ? 2 : 1;
}

struct PixelLayout {
  int lane_bits = 0;          ///< two to this many lanes share a pixel
  int vectors = 0;            ///< 16-byte vectors of a lane; 0: elements, any number of them
  std::int64_t parts = 0;     ///< vectors (or elements) of a pixel
  std::int64_t segment = 0;   ///< pixels of a row that a warp works on
  std::int64_t segments = 0;  ///< of a row
  std::int64_t items = 0;     ///< segments of all rows

  [[nodiscard]] constexpr int lanes() const noexcept { return 1 << lane_bits; }
};

/// Whether each pixel of a view begins at a multiple of 16 bytes.
[[nodiscard]] inline bool pixels_aligned(const void* data, DType dtype,
                                         const PixelStrides& s) noexcept {
  const std::int64_t width = 16 / element_size(dtype);
  return reinterpret_cast<std::uintptr_t>(data) % 16 == 0 && s.t % width == 0 && s.h % width == 0 &&
         s.w % width == 0;
}

/// @param aligned whether all views of the call are.
/// @param columns pixels of a row; with none there is still a segment, for what surrounds them.
[[nodiscard]] inline PixelLayout pixel_layout(std::int64_t channels, DType dtype, bool aligned,
                                              std::int64_t rows, std::int64_t columns) noexcept {
  PixelLayout layout;
  const std::int64_t width = 16 / element_size(dtype);
  const auto bits_for = [](std::int64_t lanes) {
    int bits = 0;
    while (bits < 5 && (std::int64_t{1} << bits) < lanes) ++bits;
    return bits;
  };
  layout.parts = channels;
  layout.lane_bits = bits_for(channels);
  if (aligned && channels % width == 0) {
    // Few idle lanes first. Then two vectors: with more the weights of a lane's channels take the
    // registers, with fewer not enough loads are in flight.
    const std::int64_t parts = channels / width;
    std::int64_t least = 0;
    for (const int vectors : {2, 3, 4, 1, 6, 8}) {
      if (vectors > 4 && dtype != DType::float32) continue;
      const int bits = bits_for((parts + vectors - 1) / vectors);
      const std::int64_t taken = std::int64_t{vectors} << bits;
      if (taken < parts || (layout.vectors > 0 && taken >= least)) continue;
      layout.vectors = vectors;
      layout.lane_bits = bits;
      layout.parts = parts;
      least = taken;
    }
  }
  // Long segments where there is work enough for all processors, else many.
  constexpr std::int64_t kMaxSteps = 16;
  constexpr std::int64_t kFill = 8192;  // warps
  const std::int64_t step =
      (kPixelLanes >> layout.lane_bits) *
      static_cast<std::int64_t>(layout.vectors == 0 ? 1 : pixels_in_flight(layout.vectors));
  const std::int64_t steps = (columns + step - 1) / step;
  layout.segment = step * std::clamp<std::int64_t>(rows * steps / kFill, 1, kMaxSteps);
  layout.segments = std::max<std::int64_t>(1, (columns + layout.segment - 1) / layout.segment);
  layout.items = rows * layout.segments;
  return layout;
}

/// Blocks of a launch; a warp goes on to further items where there are more than a grid holds.
[[nodiscard]] inline unsigned warp_blocks(std::int64_t items) noexcept {
  const std::int64_t needed = (items + kPixelWarps - 1) / kPixelWarps;
  return static_cast<unsigned>(std::min<std::int64_t>(needed, 0x7FFFFFFF));
}

[[nodiscard]] inline unsigned pixel_blocks(const PixelLayout& layout) noexcept {
  return warp_blocks(layout.items);
}

}  // namespace truetile::cuda
