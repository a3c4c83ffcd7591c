#include <algorithm>

#include "kernels/blend.hpp"
#include "kernels/cuda/blend_layout.hpp"
#include "kernels/cuda/check.cuh"
#include "kernels/cuda/convert.cuh"

// A thread works on a quad: four adjacent pixels of a row, all three channels where there are
// three, so that several loads are in flight. A warp works on 32 adjacent quads of one row.

namespace truetile::cuda {
namespace {

constexpr int kLanes = 32;
constexpr int kWarps = 8;
constexpr int kStage = 3 * 4 * kLanes;  // elements of a warp's 32 quads of three channels
constexpr unsigned kMaxGrid = 65535;    // of the y and z dimensions

/// Four elements that are loaded or stored at once.
template <class T>
struct alignas(4 * sizeof(T)) Quad {
  T v[4];
};

/// Fetch pixels x .. x+3 of kC channels; pixels outside of [0, n) read as 0.
template <int kC, class In>
__device__ void load(const In* row, const Strides& strides, Load how, std::int64_t x,
                     std::int64_t n, float (&v)[kC][4]) {
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

/// Add the line's values to the pixels of the quad that lie in [0, n).
template <int kC>
__device__ void add(const BlendLine& line, std::int64_t c0, std::int64_t t, std::int64_t y,
                    std::int64_t x, std::int64_t n, float (&v)[kC][4]) {
#pragma unroll
  for (int c = 0; c < kC; ++c) {
    const float* row = line.data + (c0 + c) * line.strides.c + line.strides.at(t, y, 0);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      if (x + j >= 0 && x + j < n) v[c][j] += row[(x + j) * line.strides.x];
    }
  }
}

/// Weights and stored neighbours.
template <int kC>
__device__ void fold(const BlendTask& task, std::int64_t c0, std::int64_t t, std::int64_t y,
                     std::int64_t x, float (&v)[kC][4]) {
  const float row = task.t.weight(t) * task.y.weight(y);
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    const float weight = row * task.x.weight(x + j);
#pragma unroll
    for (int c = 0; c < kC; ++c) v[c][j] *= weight;
  }
  if (task.line_t.data != nullptr && t < task.t.led()) {
    add<kC>(task.line_t, c0, t, y, x, task.x.size, v);
  }
  if (task.line_x.data != nullptr && x < task.x.led()) {
    add<kC>(task.line_x, c0, t, y, x, task.x.led(), v);
  }
  if (task.line_y.data != nullptr && y < task.y.led()) {
    add<kC>(task.line_y, c0, t, y, x, task.x.size, v);
  }
}

template <int kC>
__device__ void finish(const BlendTask& task, float (&v)[kC][4]) {
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
template <int kC, class Out>
__device__ void store_planes(Out* row, const Strides& strides, bool vector, std::int64_t x,
                             std::int64_t n, const float (&v)[kC][4]) {
  const bool whole = vector && x >= 0 && x + 4 <= n;
#pragma unroll
  for (int c = 0; c < kC; ++c) {
    Quad<Out> quad;
#pragma unroll
    for (int j = 0; j < 4; ++j) from_float(v[c][j], quad.v[j]);
    Out* plane = row + c * strides.c;
    if (whole) {
      *reinterpret_cast<Quad<Out>*>(plane + x) = quad;
      continue;
    }
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      if (x + j >= 0 && x + j < n) plane[(x + j) * strides.x] = quad.v[j];
    }
  }
}

/// Store a warp's 32 quads of three adjacent channels. They go through shared memory, so that a
/// warp's stores are 512 adjacent bytes instead of pieces 48 bytes apart.
template <class Out>
__device__ void store_interleaved(Out* row, bool vector, std::int64_t first_x, std::int64_t n,
                                  const float (&v)[3][4], Quad<Out>* stage) {
  const int lane = static_cast<int>(threadIdx.x);
#pragma unroll
  for (int k = 0; k < 3; ++k) {
    Quad<Out> quad;
#pragma unroll
    for (int m = 0; m < 4; ++m) from_float(v[(4 * k + m) % 3][(4 * k + m) / 3], quad.v[m]);
    stage[3 * lane + k] = quad;
  }
  __syncwarp();
  Out* to = row + 3 * first_x;
  // What of the stage lies in the row, in elements: only its first and last warp see less than all.
  const int begin = first_x < 0 ? -3 * static_cast<int>(first_x) : 0;
  const int end = n - first_x < 4 * kLanes ? 3 * static_cast<int>(n - first_x) : kStage;
  if (vector) {
#pragma unroll
    for (int k = 0; k < 3; ++k) {
      const int at = k * kLanes + lane;
      if (4 * at >= begin && 4 * at + 4 <= end) {
        reinterpret_cast<Quad<Out>*>(to)[at] = stage[at];
      } else {
#pragma unroll 1
        for (int e = max(begin, 4 * at); e < min(end, 4 * at + 4); ++e) to[e] = stage->v[e];
      }
    }
  } else {
#pragma unroll 4
    for (int e = begin + lane; e < end; e += kLanes) to[e] = stage->v[e];
  }
  __syncwarp();  // the next row overwrites the stage
}

/// Blocks that must fit on a processor: as many as the registers allow without spilling.
constexpr int min_blocks(bool flat, bool interleaved) { return flat ? (interleaved ? 6 : 5) : 3; }

/// kFlat: the task has no weights and no lines. Most pixels do not, and without that code a thread
/// needs half the registers, so that twice as many loads are in flight.
template <class In, class Out, int kC, bool kInterleaved, bool kFlat>
__global__ void __launch_bounds__(kLanes* kWarps, min_blocks(kFlat, kInterleaved))
    blend_kernel(const __grid_constant__ BlendTask task, const __grid_constant__ Layout layout) {
  __shared__ Quad<Out> stage[kInterleaved ? kWarps : 1][kInterleaved ? 3 * kLanes : 1];
  const int lane = static_cast<int>(threadIdx.x);
  const int warp = static_cast<int>(threadIdx.y);
  const std::int64_t first_x =
      4 * static_cast<std::int64_t>(blockIdx.x) * kLanes - layout.shift;  // of the warp
  const std::int64_t x = first_x + 4 * lane;
  const std::int64_t groups = kC == 1 ? task.channels : 1;

#pragma unroll 1
  for (std::int64_t z = blockIdx.z; z < task.t.size * groups; z += gridDim.z) {
    const std::int64_t t = kC == 1 ? z / groups : z;
    const std::int64_t c0 = kC == 1 ? z % groups : 0;
#pragma unroll 1
    for (std::int64_t y = static_cast<std::int64_t>(blockIdx.y) * kWarps + warp; y < task.y.size;
         y += static_cast<std::int64_t>(gridDim.y) * kWarps) {
      const In* from = static_cast<const In*>(task.block) + c0 * task.block_strides.c +
                       task.block_strides.at(t, y, 0);
      Out* to =
          static_cast<Out*>(task.dst) + c0 * task.dst_strides.c + task.dst_strides.at(t, y, 0);
      float v[kC][4];
      load<kC>(from, task.block_strides, layout.load, x, task.x.size, v);
      if constexpr (!kFlat) fold<kC>(task, c0, t, y, x, v);
      finish<kC>(task, v);
      if constexpr (kInterleaved) {
        store_interleaved(to, layout.vector_store, first_x, task.x.size, v, stage[warp]);
      } else {
        store_planes<kC>(to, task.dst_strides, layout.vector_store, x, task.x.size, v);
      }
    }
  }
}

template <class In, class Out, bool kFlat>
void launch(const BlendTask& task, cudaStream_t stream) {
  const Layout layout = layout_of(task);
  const std::int64_t groups = layout.channels == 3 ? 1 : task.channels;
  const auto blocks = [](std::int64_t n, std::int64_t a_block) {
    return static_cast<unsigned>((n + a_block - 1) / a_block);
  };
  const dim3 block(kLanes, kWarps);
  const dim3 grid(blocks(layout.quads(task.x.size), kLanes),
                  std::min(kMaxGrid, blocks(task.y.size, kWarps)),
                  std::min(kMaxGrid, blocks(task.t.size * groups, 1)));
  if (layout.interleaved_store) {
    blend_kernel<In, Out, 3, true, kFlat><<<grid, block, 0, stream>>>(task, layout);
  } else if (layout.channels == 3) {
    blend_kernel<In, Out, 3, false, kFlat><<<grid, block, 0, stream>>>(task, layout);
  } else {
    blend_kernel<In, Out, 1, false, kFlat><<<grid, block, 0, stream>>>(task, layout);
  }
  check_launch("blend_kernel");
}

}  // namespace
}  // namespace truetile::cuda

namespace truetile {

void blend_tile_cuda(const BlendArgs& args, CUstream_st* stream) {
  for (const BlendTask& task : blend_tasks(args)) {
    if (task.empty()) {
      continue;
    }
    cuda::with_type(task.block_dtype, [&](auto in) {
      cuda::with_type(task.dst_dtype, [&](auto out) {
        if (task.flat()) {
          cuda::launch<decltype(in), decltype(out), true>(task, stream);
        } else {
          cuda::launch<decltype(in), decltype(out), false>(task, stream);
        }
      });
    });
  }
}

}  // namespace truetile
