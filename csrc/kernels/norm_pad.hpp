#pragma once

#include <cstdint>

#include "kernels/dtype.hpp"
#include "kernels/pixels.hpp"

struct CUstream_st;

namespace truetile {

/// The arguments of `truetile::norm_pad`, checked. x holds the interior of `out` at its top left,
/// or is that interior.
struct NormPadArgs {
  static constexpr float kEpsilon = 1e-12F;  ///< of torch.nn.functional.normalize

  const void* x = nullptr;
  void* out = nullptr;
  DType dtype = DType::float32;
  PixelStrides x_strides, out_strides;
  std::int64_t frames = 0, padded_rows = 0, padded_columns = 0, channels = 0;
  std::int64_t top = 0, bottom = 0, left = 0, right = 0;
  const float* scale = nullptr;  ///< null: values stay as they are
  const float* shift = nullptr;
  std::int64_t scale_t = 0, shift_t = 0;  ///< strides from frame to frame, 0 for [C]
  bool rms = false, silu = false;

  [[nodiscard]] constexpr std::int64_t rows() const noexcept { return padded_rows - top - bottom; }
  [[nodiscard]] constexpr std::int64_t columns() const noexcept {
    return padded_columns - left - right;
  }
};

/// Rows [begin, end) of frames * padded_rows, on the CPU.
void norm_pad_rows_cpu(const NormPadArgs& args, std::int64_t begin, std::int64_t end) noexcept;

/// All of it in one launch.
/// @throws std::runtime_error when the launch is refused.
void norm_pad_cuda(const NormPadArgs& args, CUstream_st* stream);

}  // namespace truetile
