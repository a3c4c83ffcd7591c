#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "kernels/dtype.hpp"

namespace truetile::cuda {

__device__ inline float to_float(float value) { return value; }
__device__ inline float to_float(__half value) { return __half2float(value); }
__device__ inline float to_float(__nv_bfloat16 value) { return __bfloat162float(value); }

// Rounding is to nearest even, overflow goes to infinity and NaN stays NaN, as in torch.
__device__ inline void from_float(float value, float& to) { to = value; }
__device__ inline void from_float(float value, __half& to) { to = __float2half_rn(value); }
__device__ inline void from_float(float value, __nv_bfloat16& to) {
  to = __float2bfloat16_rn(value);
}

/// Call f with a value of the CUDA type that stands for `dtype`.
template <class F>
decltype(auto) with_type(DType dtype, F&& f) {
  switch (dtype) {
    case DType::float16:
      return f(__half{});
    case DType::bfloat16:
      return f(__nv_bfloat16{});
    case DType::float32:
      break;
  }
  return f(float{});
}

}  // namespace truetile::cuda
