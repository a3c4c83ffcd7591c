#include <limits>
#include <stdexcept>
#include <string>

#include "kernels/conv_few_outputs.hpp"
#include "kernels/cuda/check.cuh"
#include "kernels/cuda/conv_few_outputs_layout.hpp"
#include "kernels/cuda/convert.cuh"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/pixel_layout.hpp"
#include "kernels/cuda/tensor_core.cuh"

namespace truetile::cuda::conv_few {
namespace {

constexpr int kOldest = 80;       // compute capability 8.0
constexpr int kBlocksAtOnce = 2;  // of a multiprocessor

/// 8 channels into shared memory, by one copy where addresses allow.
template <class T>
__device__ inline void copy_part(char* to, const T* from, bool aligned) {
  if (aligned) {
    copy_async(static_cast<unsigned>(__cvta_generic_to_shared(to)), from);
    return;
  }
#pragma unroll
  for (int i = 0; i < kPart; ++i) reinterpret_cast<T*>(to)[i] = from[i];
}

/// Starts to fill a stage. What lies outside of x, and weights of no output, are left as they are:
/// what is made of them is used by nobody.
template <class T, int kTapsT>
__device__ void fill(char* stage, const ConvFewOutputsArgs& args, const Box& box,
                     const Slice& slice, bool aligned) {
  const T* x = static_cast<const T*>(args.x) + slice.channel +
               args.x_strides.at(box.frame + slice.frame, box.row, box.column);
  const T* weight = static_cast<const T*>(args.weight) + slice.channel;
  const auto thread = static_cast<int>(threadIdx.x);
  const int part = thread % kParts;
  if (slice.channel + part * kPart >= args.channels) return;
  for (int pixel = thread / kParts; pixel < kPixels; pixel += kThreads / kParts) {
    const int row = pixel / kReadColumns;
    const int column = pixel % kReadColumns;
    if (row < box.rows + 2 && column < box.columns + 2) {
      copy_part(stage + part_at(pixel, part), x + args.x_strides.at(0, row, column) + part * kPart,
                aligned);
    }
  }
  const auto outputs = static_cast<int>(args.outputs);
  for (int i = thread / kParts; i < kTapsT * 9 * outputs; i += kThreads / kParts) {
    const int output = i / (kTapsT * 9);
    const int tap = i % (kTapsT * 9);
    copy_part(stage + part_at(weight_row(tap, output), part),
              weight + i * args.channels + part * kPart, aligned);
  }
}

/// A warp's sums for one frame of output: 16 pixels x 8 columns, twice beside one another.
using Sums = float[kFragments][2][4];

/// Adds what a stage gives to `sums`, by tap in time: of tap t for output frame `frame` - t.
template <class T, int kTapsT>
__device__ inline void add_stage(unsigned stage, Sums (&sums)[kTapsT], int frame, int frames,
                                 bool whole) {
  const auto lane = static_cast<int>(threadIdx.x) % 32;
  const auto warp = static_cast<int>(threadIdx.x) / 32;
  const unsigned pixels = stage + warp * kWarpPixels * kRowBytes;
  const unsigned weights = stage + kPixels * kRowBytes;
#pragma unroll
  for (int row = 0; row < 3; ++row) {
#pragma unroll
    for (int half = 0; half < kSlice / kFragment; ++half) {
      if (half > 0 && !whole) break;
      unsigned a[kFragments][4];
#pragma unroll
      for (int i = 0; i < kFragments; ++i) {
        const int first = row * kReadColumns + i * kFragment;
        load_matrices(pixels + first * kRowBytes + (pixel_part(lane) ^ (half * 32)), a[i]);
      }
#pragma unroll
      for (int tap = 0; tap < kTapsT; ++tap) {
        if (frame < tap || frame - tap >= frames) continue;
        unsigned b[4];
        const int first = (tap * 3 + row) * kFragment;
        load_matrices(weights + first * kRowBytes + (weight_part(lane) ^ (half * 32)), b);
#pragma unroll
        for (int i = 0; i < kFragments; ++i) {
          multiply_add(T{}, sums[tap][i][0], a[i], b[0], b[1]);
          multiply_add(T{}, sums[tap][i][1], a[i], b[2], b[3]);
        }
      }
    }
  }
}

/// Adds up the taps of a row through shared memory and writes a frame of output.
template <class T>
__device__ inline void write_frame(float* shared, const Sums& sums, const ConvFewOutputsArgs& args,
                                   const Box& box, int frame) {
  const auto thread = static_cast<int>(threadIdx.x);
  const int lane = thread % 32;
  const int first = thread / 32 * kWarpPixels + sum_pixel(lane);
#pragma unroll
  for (int i = 0; i < kFragments; ++i) {
#pragma unroll
    for (int side = 0; side < 2; ++side) {
      const int column = side * 8 + sum_column(lane);
      if (column >= kSums) continue;
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        shared[sum_at(first + i * kFragment + k / 2 * 8, column + k % 2)] = sums[i][side][k];
      }
    }
  }
  __syncthreads();
  T* out = static_cast<T*>(args.out) + args.out_strides.at(box.frame + frame, box.row, box.column);
  const int row = thread / kReadColumns;
  const int column = thread % kReadColumns;
  if (row >= box.rows || column >= box.columns) return;
  T* to = out + args.out_strides.at(0, row, column);
  for (int output = 0; output < args.outputs; ++output) {
    from_float(shared[sum_of(thread, 0, output)] + shared[sum_of(thread, 1, output)] +
                   shared[sum_of(thread, 2, output)],
               to[output]);
  }
}
static_assert(kThreads == kRows * kReadColumns, "a thread writes one pixel");

template <class T, int kTapsT>
__global__ void __launch_bounds__(kThreads, kBlocksAtOnce)
    conv_few_outputs_kernel(const __grid_constant__ ConvFewOutputsArgs args,
                            const __grid_constant__ Layout layout, bool aligned) {
  // Refused by the launch on other GPUs.
#if __CUDA_ARCH__ >= 800
  extern __shared__ __align__(128) char shared[];
  constexpr int kStage = stage_bytes(kTapsT);
  auto* row_sums = reinterpret_cast<float*>(shared + 2 * kStage);
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  const Box box = layout.box(args, blockIdx.x);
  const int read_frames = box.frames + kTapsT - 1;
  Sums sums[kTapsT] = {};
  Slice slice;
  Slice filled;
  fill<T, kTapsT>(shared, args, box, filled, aligned);
#pragma unroll 1
  for (int stage = 0; slice.frame < read_frames; stage ^= 1) {
    wait_for_copies();
    // Everybody's parts are there, and nobody reads the other stage any more.
    __syncthreads();
    filled.next(args.channels);
    if (filled.frame < read_frames) {
      fill<T, kTapsT>(shared + (stage ^ 1) * kStage, args, box, filled, aligned);
    }
    const bool whole = slice.channel + kSlice <= args.channels;
    add_stage<T, kTapsT>(address + stage * kStage, sums, slice.frame, box.frames, whole);
    if (filled.frame > slice.frame) {
      const int finished = slice.frame - (kTapsT - 1);
      if (finished >= 0) write_frame<T>(row_sums, sums[kTapsT - 1], args, box, finished);
#pragma unroll
      for (int tap = kTapsT - 1; tap >= 0; --tap) {
#pragma unroll
        for (int i = 0; i < kFragments * 8; ++i) {
          float& to = sums[tap][i / 8][i / 4 % 2][i % 4];
          to = tap > 0 ? sums[max(tap - 1, 0)][i / 8][i / 4 % 2][i % 4] : 0.0F;
        }
      }
    }
    slice = filled;
  }
#endif
}

template <class T, int kTapsT>
void launch(const ConvFewOutputsArgs& args, bool aligned, CUstream_st* stream) {
  const auto kernel = conv_few_outputs_kernel<T, kTapsT>;
  cudaFuncAttributes attributes{};
  check(cudaFuncGetAttributes(&attributes, kernel), "conv_few_outputs_kernel");
  if (attributes.ptxVersion < kOldest) {
    throw std::runtime_error("conv_few_outputs_kernel: compiled for GPUs of " +
                             std::to_string(attributes.ptxVersion) + ", it needs 80 or newer");
  }
  constexpr int kShared = shared_bytes(kTapsT);
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kShared),
        "conv_few_outputs_kernel");
  const Layout layout = layout_of(args, std::int64_t{kBlocksAtOnce} * processors());
  if (layout.blocks() == 0) {
    return;
  }
  if (layout.blocks() > std::numeric_limits<std::int32_t>::max()) {
    throw std::runtime_error("conv_few_outputs_kernel: " + std::to_string(layout.blocks()) +
                             " blocks, a launch takes less than 2^31");
  }
  kernel<<<static_cast<unsigned>(layout.blocks()), kThreads, kShared, stream>>>(args, layout,
                                                                                aligned);
  check_launch("conv_few_outputs_kernel");
}

}  // namespace
}  // namespace truetile::cuda::conv_few

namespace truetile {

void conv_few_outputs_cuda(const ConvFewOutputsArgs& args, CUstream_st* stream) {
  const bool aligned = cuda::pixels_aligned(args.x, args.dtype, args.x_strides) &&
                       reinterpret_cast<std::uintptr_t>(args.weight) % 16 == 0;
  const auto typed = [&](auto type) {
    using T = decltype(type);
    if (args.taps_t == 1) return cuda::conv_few::launch<T, 1>(args, aligned, stream);
    cuda::conv_few::launch<T, 3>(args, aligned, stream);
  };
  if (args.dtype == DType::float16) return typed(__half{});
  typed(__nv_bfloat16{});
}

}  // namespace truetile
