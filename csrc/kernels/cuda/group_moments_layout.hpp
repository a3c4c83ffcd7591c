#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/group_norm.hpp"

// Who works on what in the CUDA kernel of moments: host code too, so that it is proven without a
// GPU that every value is read once and counted for its group.

namespace truetile::cuda {

inline constexpr unsigned kMomentThreads = 256;  ///< of a block
inline constexpr int kMomentLoads = 4;           ///< vectors in flight a thread
inline constexpr int kMomentBlocksPerProcessor = 4;

/// A block takes a range of pixels and a slice of their channels. Its threads lie side by side
/// along the channels, in as many steps of a pixel as fit; a thread keeps its channels, so that
/// its sums belong to one group, or to two halves of its vector. Items are pieces of rows of
/// kMomentLoads * steps pixels: each thread reads one vector of each of kMomentLoads pixels.
struct MomentsLayout {
  int width = 1;                  ///< channels of a vector: 16 bytes of them, or one
  int halves = 1;                 ///< groups in a vector: 1, or 2
  unsigned vectors = 0;           ///< of a pixel
  unsigned lanes = 1, steps = 1;  ///< threads along the channels, pixels at once
  unsigned slices = 1, ranges = 0;
  std::int64_t chunks = 0, items = 0;  ///< of a row, of all rows

  [[nodiscard]] constexpr unsigned blocks() const noexcept { return slices * ranges; }
  /// Pixels of a full item.
  [[nodiscard]] constexpr std::int64_t item_pixels() const noexcept {
    return std::int64_t{kMomentLoads} * steps;
  }
  [[nodiscard]] constexpr std::int64_t first_item(unsigned range) const noexcept {
    return items * range / ranges;
  }
  [[nodiscard]] constexpr std::int64_t pixels_before(std::int64_t item,
                                                     const PixelRows& pixels) const noexcept {
    return item / chunks * pixels.width + item % chunks * item_pixels();
  }
  [[nodiscard]] constexpr std::int64_t pixels_of(unsigned range,
                                                 const PixelRows& pixels) const noexcept {
    return pixels_before(first_item(range + 1), pixels) - pixels_before(first_item(range), pixels);
  }
  /// Channels of one of a vector's parts, all of one group.
  [[nodiscard]] constexpr int part_channels() const noexcept { return width / halves; }
  /// A pixel's first vector part in a slice; for slice `slices` the end.
  [[nodiscard]] constexpr unsigned first_part(unsigned slice) const noexcept {
    const unsigned vector = slice * lanes;
    return (vector < vectors ? vector : vectors) * static_cast<unsigned>(halves);
  }
};

/// Whether every pixel begins where a vector of `width` channels may be read.
[[nodiscard]] inline bool aligned_to(const MomentsArgs& args, std::int64_t width) noexcept {
  const PixelRows& pixels = args.pixels;
  const std::int64_t bytes = width * element_size(args.dtype);
  return args.channels % width == 0 && pixels.step % width == 0 && pixels.strides[0] % width == 0 &&
         pixels.strides[1] % width == 0 &&
         reinterpret_cast<std::uintptr_t>(args.data) % static_cast<std::uintptr_t>(bytes) == 0;
}

/// @param processors of the device; the more, the more blocks.
[[nodiscard]] inline MomentsLayout moments_layout(const MomentsArgs& args, int processors) {
  MomentsLayout layout;
  const auto full = static_cast<int>(16 / element_size(args.dtype));
  if (aligned_to(args, full)) {
    if (args.group_channels() % full == 0) {
      layout.width = full;
    } else if (2 * args.group_channels() == full) {
      layout.width = full;
      layout.halves = 2;
    }
  }
  const auto up = [](auto n, auto d) { return (n + d - 1) / d; };
  layout.vectors = static_cast<unsigned>(args.channels) / static_cast<unsigned>(layout.width);
  layout.slices = up(layout.vectors, kMomentThreads);
  layout.lanes = up(layout.vectors, layout.slices);
  layout.steps = kMomentThreads / layout.lanes;
  layout.chunks = up(args.pixels.width, layout.item_pixels());
  layout.items = layout.chunks * args.pixels.rows();
  const std::int64_t wanted = std::int64_t{kMomentBlocksPerProcessor} * processors;
  const std::int64_t ranges = std::min(wanted, kMaxMomentBlocks) / layout.slices;
  layout.ranges = static_cast<unsigned>(std::min(layout.items, std::max<std::int64_t>(1, ranges)));
  return layout;
}

}  // namespace truetile::cuda
