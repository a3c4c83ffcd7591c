#include <algorithm>
#include <cstddef>

#include "kernels/blend.hpp"
#include "kernels/cuda/blend_launch.hpp"
#include "kernels/cuda/check.cuh"
#include "kernels/cuda/quad.cuh"

// The interior of a tile, and the launches of a call. A warp works on 32 adjacent quads of a row.

namespace truetile::cuda {
namespace {

constexpr unsigned kMaxGrid = 65535;  // of the y and z dimensions

// What a processor holds of these blocks: Turing's takes 1024 threads, later ones 1536 or 2048. A
// bound beyond that is an error of the assembler.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
constexpr int kHeldBlocks = 1024 / (kLanes * kWarps);
#else
constexpr int kHeldBlocks = 1536 / (kLanes * kWarps);
#endif

/// Blocks that must fit on a processor: as many as the registers allow without spilling.
constexpr int min_blocks(bool interleaved) { return std::min(interleaved ? 6 : 5, kHeldBlocks); }

/// Without weights and lines a thread needs few registers, so that many loads are in flight.
template <class In, class Out, int kC, bool kInterleaved>
__global__ void __launch_bounds__(kLanes* kWarps, min_blocks(kInterleaved))
    flat_kernel(const __grid_constant__ BlendTask task, const __grid_constant__ Layout layout) {
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
      finish<kC>(task, v);
      if constexpr (kInterleaved) {
        store_interleaved(to, layout.vector_store, first_x, task.x.size, v, stage[warp], lane,
                          kLanes);
      } else {
        store_planes<kC>(to, task.dst_strides, layout.vector_store, x, task.x.size, v);
      }
    }
  }
}

template <class In, class Out>
void launch(const BlendTask& task, cudaStream_t stream) {
  const Layout layout = layout_of(task);
  const std::int64_t groups = task.channels / layout.channels;
  const auto blocks = [](std::int64_t n, std::int64_t a_block) {
    return static_cast<unsigned>((n + a_block - 1) / a_block);
  };
  const dim3 block(kLanes, kWarps);
  const dim3 grid(blocks(layout.quads(task.x.size), kLanes),
                  std::min(kMaxGrid, blocks(task.y.size, kWarps)),
                  std::min(kMaxGrid, blocks(task.t.size * groups, 1)));
  if (layout.interleaved_store) {
    flat_kernel<In, Out, 3, true><<<grid, block, 0, stream>>>(task, layout);
  } else if (layout.channels == 3) {
    flat_kernel<In, Out, 3, false><<<grid, block, 0, stream>>>(task, layout);
  } else {
    flat_kernel<In, Out, 1, false><<<grid, block, 0, stream>>>(task, layout);
  }
  check_launch("flat_kernel");
}

}  // namespace

void launch_flat(const BlendTask& task, CUstream_st* stream) {
  with_type(task.block_dtype, [&](auto in) {
    with_type(task.dst_dtype, [&](auto out) { launch<decltype(in), decltype(out)>(task, stream); });
  });
}

}  // namespace truetile::cuda

namespace truetile {

void blend_tile_cuda(const BlendArgs& args, CUstream_st* stream) {
  const std::array<BlendTask, 7> tasks = blend_tasks(args);
  const std::array<int, 7> launches = cuda::launches_of(tasks);
  for (std::size_t i = 0; i < tasks.size();) {
    if (launches[i] < 0) {
      ++i;
      continue;
    }
    const BlendTask& first = tasks[i];
    const int launch = launches[i];
    cuda::ZoneBatch batch;
    for (; i < tasks.size() && (launches[i] == launch || launches[i] < 0); ++i) {
      if (launches[i] == launch) batch.add(cuda::zone_box(tasks[i]));
    }
    if (batch.count == 1 && first.flat()) {
      cuda::launch_flat(first, stream);
    } else {
      cuda::launch_zones(batch, first.block_dtype, first.dst_dtype, stream);
    }
  }
}

}  // namespace truetile
