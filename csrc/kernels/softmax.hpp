#pragma once

#include <cstdint>

#include "kernels/dtype.hpp"

struct CUstream_st;

namespace truetile {

/// The arguments of `truetile::softmax_rows`, checked. `out` may be the memory of the scores where
/// it is float32 and has their stride.
struct SoftmaxArgs {
  const float* scores = nullptr;
  void* out = nullptr;
  DType dtype = DType::float32;                    ///< of out
  std::int64_t scores_stride = 0, out_stride = 0;  ///< from row to row, in elements
  std::int64_t rows = 0, columns = 0;
};

/// Rows [begin, end), on the CPU.
void softmax_rows_cpu(const SoftmaxArgs& args, std::int64_t begin, std::int64_t end) noexcept;

/// All of it in one launch.
/// @throws std::runtime_error when the launch is refused.
void softmax_rows_cuda(const SoftmaxArgs& args, CUstream_st* stream);

}  // namespace truetile
