#pragma once

#include <cstdint>

namespace truetile {

/// Strides of a [C, T, Y, X] view, in elements; any sign, any order.
struct Strides {
  std::int64_t c = 0, t = 0, y = 0, x = 0;

  [[nodiscard]] constexpr std::int64_t at(std::int64_t t_, std::int64_t y_,
                                          std::int64_t x_) const noexcept {
    return t_ * t + y_ * y + x_ * x;
  }
};

/// One axis of a tile and of the box of it that arrives, in pixels or frames.
struct BlendAxis {
  std::int64_t size = 0;        ///< length of the box
  std::int64_t offset = 0;      ///< where the box lies in the tile's used part
  std::int64_t use = 0;         ///< length of the tile's used part
  std::int64_t lead = 0;        ///< length of its fade-in zone
  std::int64_t tail = 0;        ///< length of its fade-out zone; lead + tail <= use
  std::int64_t origin = 0;      ///< where the used part lies in the line buffers
  std::int64_t out_origin = 0;  ///< where it lies in `out`, which may be a part of the canvas

  [[nodiscard]] constexpr std::int64_t tail_begin() const noexcept { return use - tail; }
};

/// A run of tile indices on one axis with the fade zones that it touches.
struct Ramp {
  std::int64_t begin = 0;  ///< tile index of the first element
  std::int64_t size = 0;
  std::int64_t lead = 0;        ///< length of the fade-in zone; 0 when the run lies behind it
  std::int64_t tail = 0;        ///< length of the fade-out zone; 0 when the run ends before it
  std::int64_t tail_begin = 0;  ///< tile index where the fade-out zone begins

  [[nodiscard]] constexpr bool flat() const noexcept { return lead == 0 && tail == 0; }

  /// Number of elements, from the first, that lie in the fade-in zone.
  [[nodiscard]] constexpr std::int64_t led() const noexcept {
    const std::int64_t n = lead - begin;
    return n < 0 ? 0 : (n < size ? n : size);
  }

  /// Number of elements before the fade-out zone.
  [[nodiscard]] constexpr std::int64_t untailed() const noexcept {
    const std::int64_t n = tail == 0 ? size : tail_begin - begin;
    return n < 0 ? 0 : (n < size ? n : size);
  }

  /// Weight of element i. Complementary weights of two tiles add up to one by construction.
  [[nodiscard]] constexpr float weight(std::int64_t i) const noexcept {
    const std::int64_t index = begin + i;
    if (index < lead) {
      return (static_cast<float>(index) + 0.5F) / static_cast<float>(lead);
    }
    if (tail > 0 && index >= tail_begin) {
      return 1.0F - (static_cast<float>(index - tail_begin) + 0.5F) / static_cast<float>(tail);
    }
    return 1.0F;
  }
};

}  // namespace truetile
