#pragma once

#include <cstring>
#include <type_traits>

#include "kernels/cuda/convert.cuh"
#include "kernels/cuda/pixel_layout.hpp"

// 16 bytes of channels as floats and back.

namespace truetile::cuda {

/// Elements of a 16-byte vector.
template <class T>
constexpr int kWidth = 16 / static_cast<int>(sizeof(T));

template <class T>
__device__ inline void unpack(const uint4& vector, float (&to)[kWidth<T>]) {
  const unsigned words[4] = {vector.x, vector.y, vector.z, vector.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if constexpr (std::is_same_v<T, float>) {
      to[i] = __uint_as_float(words[i]);
    } else if constexpr (std::is_same_v<T, __nv_bfloat16>) {
      to[2 * i] = __uint_as_float(words[i] << 16);
      to[2 * i + 1] = __uint_as_float(words[i] & 0xFFFF0000U);
    } else {
      __half2 pair;
      memcpy(&pair, &words[i], 4);
      const float2 both = __half22float2(pair);
      to[2 * i] = both.x;
      to[2 * i + 1] = both.y;
    }
  }
}

template <class T>
__device__ inline uint4 pack(const float (&from)[kWidth<T>]) {
  unsigned words[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if constexpr (std::is_same_v<T, float>) {
      words[i] = __float_as_uint(from[i]);
    } else if constexpr (std::is_same_v<T, __nv_bfloat16>) {
      const __nv_bfloat162 pair = __floats2bfloat162_rn(from[2 * i], from[2 * i + 1]);
      memcpy(&words[i], &pair, 4);
    } else {
      const __half2 pair = __floats2half2_rn(from[2 * i], from[2 * i + 1]);
      memcpy(&words[i], &pair, 4);
    }
  }
  return {words[0], words[1], words[2], words[3]};
}

/// kWidth<T> adjacent float32 values at a multiple of 16 bytes.
template <class T>
__device__ inline void load_floats(const float* from, float* to) {
#pragma unroll
  for (int i = 0; i < kWidth<T>; i += 4) {
    const float4 four = *reinterpret_cast<const float4*>(from + i);
    to[i] = four.x;
    to[i + 1] = four.y;
    to[i + 2] = four.z;
    to[i + 3] = four.w;
  }
}

}  // namespace truetile::cuda
