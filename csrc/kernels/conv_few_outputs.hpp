#pragma once

#include <cstdint>

#include "kernels/dtype.hpp"
#include "kernels/pixels.hpp"

struct CUstream_st;

namespace truetile {

/// The arguments of `truetile::conv_few_outputs`, checked. The weight is dense
/// [outputs, taps_t, 3, 3, channels], x has taps_t - 1 frames, two rows and two columns more than
/// `out`.
struct ConvFewOutputsArgs {
  static constexpr std::int64_t kMostOutputs = 4;
  static constexpr std::int64_t kTaps = 3;  ///< in rows and in columns

  const void* x = nullptr;
  const void* weight = nullptr;
  void* out = nullptr;
  DType dtype = DType::float32;
  PixelStrides x_strides, out_strides;
  std::int64_t frames = 0, rows = 0, columns = 0;  ///< of out
  std::int64_t channels = 0, outputs = 0, taps_t = 1;
};

/// Rows [begin, end) of frames * rows, on the CPU.
void conv_few_outputs_rows_cpu(const ConvFewOutputsArgs& args, std::int64_t begin,
                               std::int64_t end) noexcept;

/// All of it in one launch, for float16 and bfloat16 in multiples of 16 channels.
/// @throws std::runtime_error when the launch is refused, or the GPU's code was compiled for GPUs
/// before compute capability 8.0.
void conv_few_outputs_cuda(const ConvFewOutputsArgs& args, CUstream_st* stream);

}  // namespace truetile
