#pragma once

#include <cstdint>

namespace truetile {

/// Strides of a [T, H, W, C] view with adjacent channels, in elements; any sign, any order.
struct PixelStrides {
  std::int64_t t = 0, h = 0, w = 0;

  [[nodiscard]] constexpr std::int64_t at(std::int64_t t_, std::int64_t h_,
                                          std::int64_t w_) const noexcept {
    return t_ * t + h_ * h + w_ * w;
  }
};

}  // namespace truetile
