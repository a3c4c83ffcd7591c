#pragma once

#include <cstdint>

#include "kernels/dtype.hpp"
#include "kernels/pixels.hpp"

struct CUstream_st;

namespace truetile {

/// The arguments of `truetile::merge`, checked. `out` may be the memory of y or of the residual.
/// Without bias and residual it is a copy of every bit.
struct MergeArgs {
  const void* y = nullptr;
  const void* residual = nullptr;  ///< null: none
  const void* bias = nullptr;      ///< null: none
  void* out = nullptr;
  DType dtype = DType::float32;
  DType bias_dtype = DType::float32;  ///< float32 or `dtype`
  PixelStrides y_strides, residual_strides, out_strides;
  std::int64_t frames = 0, rows = 0, columns = 0, channels = 0;
};

/// Rows [begin, end) of frames * rows, on the CPU.
void merge_rows_cpu(const MergeArgs& args, std::int64_t begin, std::int64_t end) noexcept;

/// All of it in one launch.
/// @throws std::runtime_error when the launch is refused.
void merge_cuda(const MergeArgs& args, CUstream_st* stream);

}  // namespace truetile
