#pragma once

#include <cstdint>

namespace truetile {

/// Element types that the kernels read and write.
enum class DType : std::uint8_t { float32, float16, bfloat16 };

/// Bytes of one element.
[[nodiscard]] constexpr std::int64_t element_size(DType dtype) noexcept {
  return dtype == DType::float32 ? 4 : 2;
}

}  // namespace truetile
