#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/cuda/blend_layout.hpp"
#include "kernels/cuda/convert.cuh"
#include "kernels/geometry.hpp"

// A thread works on a quad: four adjacent pixels of a row, all three channels where there are
// three, so that several loads are in flight. Index counts pixels: 64 bits, or 32 where the caller
// keeps inside of a part of a row.

namespace truetile::cuda {

/// Four elements that are loaded or stored at once.
template <class T>
struct alignas(4 * sizeof(T)) Quad {
  T v[4];
};

/// The bits of a quad.
template <class T>
using Words = std::conditional_t<sizeof(T) == 2, uint2, uint4>;

// *to = words, of which the compiler makes single stores where elements are stored nearby.
__device__ inline void put(uint2* to, uint2 words) {
  asm volatile("st.global.v2.b32 [%0], {%1, %2};" ::"l"(__cvta_generic_to_global(to)), "r"(words.x),
               "r"(words.y)
               : "memory");
}
__device__ inline void put(uint4* to, uint4 words) {
  asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(to)),
               "r"(words.x), "r"(words.y), "r"(words.z), "r"(words.w)
               : "memory");
}

/// Fetch pixels x .. x+3 of kC channels; pixels outside of [0, n) read as 0.
template <int kC, class In, class Index>
__device__ void load(const In* row, const Strides& strides, Load how, Index x, Index n,
                     float (&v)[kC][4]) {
  const bool whole = x >= 0 && x + 4 <= n;
  if (whole && how == Load::planes) {
#pragma unroll
    for (int c = 0; c < kC; ++c) {
      const auto quad = *reinterpret_cast<const Quad<In>*>(row + c * strides.c + x);
#pragma unroll
      for (int j = 0; j < 4; ++j) v[c][j] = to_float(quad.v[j]);
    }
  } else if (kC == 3 && whole && how == Load::interleaved) {
    const auto* quads = reinterpret_cast<const Quad<In>*>(row + 3 * x);
#pragma unroll
    for (int k = 0; k < kC; ++k) {
      const auto quad = quads[k];
#pragma unroll
      for (int m = 0; m < 4; ++m) v[(4 * k + m) % kC][(4 * k + m) / kC] = to_float(quad.v[m]);
    }
  } else {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const bool inside = x + j >= 0 && x + j < n;
#pragma unroll
      for (int c = 0; c < kC; ++c) {
        v[c][j] = inside ? to_float(row[c * strides.c + (x + j) * strides.x]) : 0.0F;
      }
    }
  }
}

/// Scale, shift and clamp. Task: BlendTask or ZoneBox.
template <int kC, class Task>
__device__ void finish(const Task& task, float (&v)[kC][4]) {
#pragma unroll
  for (int c = 0; c < kC; ++c) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      // Comparisons, not fminf and fmaxf: those would replace NaN.
      float value = v[c][j] * task.scale + task.shift;
      value = value < task.lo ? task.lo : value;
      v[c][j] = value > task.hi ? task.hi : value;
    }
  }
}

/// Store a quad of kC channel planes.
template <int kC, class Out, class Index>
__device__ void store_planes(Out* row, const Strides& strides, bool vector, Index x, Index n,
                             const float (&v)[kC][4]) {
  const bool whole = vector && x >= 0 && x + 4 <= n;
#pragma unroll
  for (int c = 0; c < kC; ++c) {
    Quad<Out> quad;
#pragma unroll
    for (int j = 0; j < 4; ++j) from_float(v[c][j], quad.v[j]);
    Out* plane = row + c * strides.c;
    if (whole) {
      Words<Out> words;
      memcpy(&words, &quad, sizeof(words));
      put(reinterpret_cast<Words<Out>*>(plane + x), words);
      continue;
    }
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      if (x + j >= 0 && x + j < n) plane[(x + j) * strides.x] = quad.v[j];
    }
  }
}

/// Store the quads of three adjacent channels that `lanes` lanes of a warp hold of a row, the first
/// quad at pixel first_x. They go through shared memory, the row's part of the warp's stage, so
/// that stores are adjacent bytes instead of pieces 48 bytes apart. All lanes of the warp must take
/// part; those with n = 0 store nothing.
template <class Out, class Index>
__device__ void store_interleaved(Out* row, bool vector, Index first_x, Index n,
                                  const float (&v)[3][4], Quad<Out>* stage, int lane, int lanes) {
#pragma unroll
  for (int k = 0; k < 3; ++k) {
    Quad<Out> quad;
#pragma unroll
    for (int m = 0; m < 4; ++m) from_float(v[(4 * k + m) % 3][(4 * k + m) / 3], quad.v[m]);
    stage[3 * lane + k] = quad;
  }
  __syncwarp();
  Out* to = row + 3 * first_x;
  // What of the stage lies in the row, in elements: only a row's first and last quads see less than
  // all.
  const int begin = first_x < 0 ? -3 * static_cast<int>(first_x) : 0;
  const int end = n == 0                    ? 0
                  : n - first_x < 4 * lanes ? 3 * static_cast<int>(n - first_x)
                                            : 12 * lanes;
  if (vector) {
#pragma unroll
    for (int k = 0; k < 3; ++k) {
      const int at = k * lanes + lane;
      if (4 * at >= begin && 4 * at + 4 <= end) {
        reinterpret_cast<Quad<Out>*>(to)[at] = stage[at];
      } else {
#pragma unroll 1
        for (int e = max(begin, 4 * at); e < min(end, 4 * at + 4); ++e) to[e] = stage->v[e];
      }
    }
  } else {
#pragma unroll 4
    for (int e = begin + lane; e < end; e += lanes) to[e] = stage->v[e];
  }
  __syncwarp();  // the next row overwrites the stage
}

}  // namespace truetile::cuda
