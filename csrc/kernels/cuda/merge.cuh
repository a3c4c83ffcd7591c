#pragma once

#include "kernels/cuda/pixels.cuh"
#include "kernels/merge.hpp"

// The arithmetic of merge, for the kernels that contain one.

namespace truetile::cuda {

/// The bias of one vector of channels; -0 where there is none, which keeps every value.
template <class T>
__device__ void load_bias(const MergeArgs& args, int part, float (&to)[kWidth<T>]) {
  if (args.bias == nullptr) {
#pragma unroll
    for (int j = 0; j < kWidth<T>; ++j) to[j] = -0.0F;
  } else if (args.bias_dtype == DType::float32) {
    load_floats<T>(static_cast<const float*>(args.bias) + part * kWidth<T>, to);
  } else {
    unpack<T>(static_cast<const uint4*>(args.bias)[part], to);
  }
}

/// One vector of y + bias + residual; y itself, of a NaN too, where both are absent.
template <class T>
__device__ uint4 merge_vector(const MergeArgs& args, const uint4& y, const uint4& residual,
                              const float (&bias)[kWidth<T>]) {
  if (args.bias == nullptr && args.residual == nullptr) return y;
  float sum[kWidth<T>];
  unpack<T>(y, sum);
#pragma unroll
  for (int j = 0; j < kWidth<T>; ++j) sum[j] += bias[j];
  if (args.residual != nullptr) {
    float added[kWidth<T>];
    unpack<T>(residual, added);
#pragma unroll
    for (int j = 0; j < kWidth<T>; ++j) sum[j] += added[j];
  }
  return pack<T>(sum);
}

}  // namespace truetile::cuda
