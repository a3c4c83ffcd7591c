#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "core/grid.hpp"
#include "core/stream/layer.hpp"

namespace truetile {

/// Frames of its source that a layer reads in a chunk, and those it makes.
struct LayerFrames {
  Span read;
  Span out;

  /// The read frames that go through its convolution: the first one passes a time layer.
  [[nodiscard]] Span convolved(LayerKind kind) const noexcept;
  bool operator==(const LayerFrames&) const = default;
};

/// Chunks of `chunk` units of the clip of `frames` that layers [first, last) read; 0: whole.
///
/// Causal layers need nothing from the future, so that a chunk is pushed forward through all of
/// them and every frame is made once. A unit is as many frames as the segment's halving of time
/// makes into one; `frames` must be one more than a multiple of it, or just a multiple where the
/// clip goes on from another one and so has no first frame that stands alone (InvalidArgument).
class FramePlan {
 public:
  FramePlan(const Layers& layers, std::int64_t first, std::int64_t last, std::int64_t frames,
            std::int64_t chunk);

  [[nodiscard]] std::int64_t count() const noexcept { return count_; }
  [[nodiscard]] std::int64_t unit() const noexcept { return unit_; }
  /// Of the whole clip.
  [[nodiscard]] std::int64_t units() const noexcept { return units_; }
  [[nodiscard]] const Layers& layers() const noexcept { return layers_; }
  /// Chunk `index` of `count()`; entry i belongs to layer `first + i`.
  [[nodiscard]] std::vector<LayerFrames> chunk(std::int64_t index) const;

 private:
  using Ends = std::vector<std::pair<std::int64_t, std::int64_t>>;

  /// Frames (read, made) by each layer when chunk `index` is done.
  [[nodiscard]] Ends ends(std::int64_t index) const;

  Layers layers_;  // of the segment
  std::int64_t first_;
  std::int64_t unit_ = 1;
  std::int64_t alone_ = 1;  // frames that do not belong to a unit of several
  std::int64_t units_ = 1;
  std::int64_t chunk_ = 1;
  std::int64_t count_ = 1;
};

/// The most frames that each layer reads, convolves and makes in a chunk.
struct FrameLimits {
  std::vector<std::int64_t> read;
  std::vector<std::int64_t> convolved;
  std::vector<std::int64_t> out;
};

/// The maxima over all chunks of a plan.
[[nodiscard]] FrameLimits frame_limits(const FramePlan& plan);

/// Chunks to choose from for a clip of `frames` that layers [first, last) read, the longest first;
/// 0 is whole. They cut it evenly into 2, 3, 4, 6, 9, 13...: what a longer chunk takes of memory
/// buys nothing where as many are needed.
[[nodiscard]] std::vector<std::int64_t> chunk_lengths(const Layers& layers, std::int64_t first,
                                                      std::int64_t last, std::int64_t frames);

}  // namespace truetile
