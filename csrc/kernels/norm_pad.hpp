#pragma once

#include <cstdint>

#include "kernels/dtype.hpp"
#include "kernels/pixels.hpp"

struct CUstream_st;

namespace truetile {

/// The arguments of `truetile::norm_pad`, checked. Of x only what the interior reads is named.
struct NormPadArgs {
  static constexpr float kEpsilon = 1e-12F;  ///< of torch.nn.functional.normalize

  const void* x = nullptr;
  void* out = nullptr;
  DType dtype = DType::float32;
  PixelStrides x_strides, out_strides;
  std::int64_t frames = 0, padded_rows = 0, padded_columns = 0, channels = 0;
  std::int64_t top = 0, bottom = 0, left = 0, right = 0;
  std::int64_t up = 1, skip = 0;
  const float* scale = nullptr;  ///< null: values stay as they are
  const float* shift = nullptr;
  std::int64_t scale_t = 0, shift_t = 0;  ///< strides from frame to frame, 0 for [C]
  bool rms = false, silu = false;

  [[nodiscard]] constexpr std::int64_t rows() const noexcept { return padded_rows - top - bottom; }
  [[nodiscard]] constexpr std::int64_t columns() const noexcept {
    return padded_columns - left - right;
  }
  [[nodiscard]] constexpr std::int64_t first_source_row() const noexcept { return skip / up; }
  [[nodiscard]] constexpr std::int64_t source_rows() const noexcept {
    return rows() == 0 ? 0 : (skip + rows() - 1) / up + 1 - first_source_row();
  }
  [[nodiscard]] constexpr std::int64_t source_columns() const noexcept {
    return (columns() + up - 1) / up;
  }
  /// Work is counted in rows of x, which are read once, and then the rows of the border.
  [[nodiscard]] constexpr std::int64_t work_rows() const noexcept {
    return source_rows() + top + bottom;
  }
};

/// One work row: a row of x and the rows of `out` it becomes, or a row of zeros.
struct NormPadRow {
  bool border = false;
  std::int64_t source = 0;          ///< row of x
  std::int64_t begin = 0, end = 0;  ///< rows of out
};

[[nodiscard]] constexpr NormPadRow norm_pad_row(const NormPadArgs& args,
                                                std::int64_t row) noexcept {
  const std::int64_t sources = args.source_rows();
  if (row >= sources) {
    const std::int64_t at = row - sources;
    const std::int64_t to = at < args.top ? at : args.top + args.rows() + (at - args.top);
    return {.border = true, .source = 0, .begin = to, .end = to + 1};
  }
  const std::int64_t source = args.first_source_row() + row;
  const std::int64_t begin = source * args.up - args.skip;
  const std::int64_t end = begin + args.up;
  return {.border = false,
          .source = source,
          .begin = args.top + (begin < 0 ? 0 : begin),
          .end = args.top + (end < args.rows() ? end : args.rows())};
}

/// Work rows [begin, end) of frames * work_rows(), on the CPU.
void norm_pad_rows_cpu(const NormPadArgs& args, std::int64_t begin, std::int64_t end) noexcept;

/// All of it in one launch.
/// @throws std::runtime_error when the launch is refused.
void norm_pad_cuda(const NormPadArgs& args, CUstream_st* stream);

}  // namespace truetile
