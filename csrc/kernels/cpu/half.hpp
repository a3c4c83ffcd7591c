#pragma once

#include <bit>
#include <cstdint>

#include "kernels/dtype.hpp"

namespace truetile {

/// IEEE half and bfloat16 as bit patterns, converted without branches so that loops vectorise.
/// Rounding is to nearest even, overflow goes to infinity, NaN stays NaN.
struct Half {
  std::uint16_t bits;
};
struct BFloat16 {
  std::uint16_t bits;
};

[[nodiscard]] inline float to_float(float value) noexcept { return value; }

[[nodiscard]] inline float to_float(BFloat16 value) noexcept {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value.bits) << 16);
}

[[nodiscard]] inline float to_float(Half value) noexcept {
  const std::uint32_t sign = (value.bits & 0x8000U) << 16;
  // Exponent and mantissa in float's places are the value times 2^-112, subnormals too.
  const float scaled = std::bit_cast<float>((value.bits & 0x7FFFU) << 13) * 0x1p112F;
  const std::uint32_t special = (value.bits & 0x7C00U) == 0x7C00U ? 0x7F800000U : 0U;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(scaled) | special | sign);
}

inline void from_float(float value, float& to) noexcept { to = value; }

inline void from_float(float value, BFloat16& to) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t rounded = (bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16;
  const bool nan = (bits & 0x7FFFFFFFU) > 0x7F800000U;
  to.bits = static_cast<std::uint16_t>(nan ? 0x7FC0U : rounded);
}

inline void from_float(float value, Half& to) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000U;
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  // Normal: move the exponent's bias from 127 to 15, round at bit 13; a carry runs into infinity.
  const std::uint32_t normal = (magnitude - (112U << 23) + 0xFFFU + ((magnitude >> 13) & 1U)) >> 13;
  // Subnormal: 0.5 has its last place at 2^-24, so that the addition rounds where half ends.
  const std::uint32_t small =
      std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5F) - 0x3F000000U;
  const std::uint32_t special = magnitude > 0x7F800000U ? 0x7E00U : 0x7C00U;
  std::uint32_t half = magnitude < (113U << 23) ? small : normal;
  half = magnitude >= (143U << 23) ? special : half;
  to.bits = static_cast<std::uint16_t>(half | sign);
}

/// Call f with a value of the C++ type that stands for `dtype`.
template <class F>
decltype(auto) with_type(DType dtype, F&& f) {
  switch (dtype) {
    case DType::float16:
      return f(Half{});
    case DType::bfloat16:
      return f(BFloat16{});
    case DType::float32:
      break;
  }
  return f(float{});
}

}  // namespace truetile
