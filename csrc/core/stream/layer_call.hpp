#pragma once

#include <cstdint>

#include "core/stream/layer.hpp"

namespace truetile {

/// A layer where it meets the largest strip and the largest chunk of its segment: what it takes
/// beside the segment's buffers.
struct LayerCall {
  const StreamLayer& layer;
  std::int64_t elem_bytes = 1;
  Size read{};                 ///< the most of its source
  Size padded{};               ///< its padded input, cached frames included
  Size made{};                 ///< the most new rows and frames
  std::int64_t convolved = 0;  ///< frames of its own in its padded input
  std::int64_t tokens = 0;     ///< that an attention sees
  std::int64_t queries = 0;    ///< how many of them it scores at once
  bool last = false;           ///< it ends the segment
  bool placed = false;         ///< what ends the segment is written to its place at once

  /// What torch allocates while it runs.
  [[nodiscard]] std::int64_t bytes() const noexcept;
  /// Where what it reads of the clip arrives, as it lies on the host.
  [[nodiscard]] std::int64_t landing_bytes() const noexcept;
  /// Where pixels that it makes lie while they are copied to the host; latents are written there at
  /// once.
  [[nodiscard]] std::int64_t departure_bytes() const noexcept;

 private:
  [[nodiscard]] std::int64_t convolution() const noexcept;
  [[nodiscard]] std::int64_t phases() const noexcept;
  [[nodiscard]] Size result() const noexcept;
  [[nodiscard]] Size added() const noexcept;
  [[nodiscard]] std::int64_t blocks(const Size& size) const noexcept;
};

}  // namespace truetile
