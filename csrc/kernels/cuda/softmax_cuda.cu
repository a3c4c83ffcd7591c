#include <algorithm>

#include "kernels/cuda/check.cuh"
#include "kernels/cuda/quad.cuh"
#include "kernels/cuda/softmax_layout.hpp"
#include "kernels/softmax.hpp"

namespace truetile::cuda {
namespace {

constexpr int kLanes = 32;
constexpr int kWarps = kSoftmaxThreads / kLanes;
static_assert(kWarps <= kLanes);

/// 2^x to 2^-22 of itself; 0 below 2^-126.
struct Power {
  __device__ float operator()(float x) const {
    float power;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x));
    return power;
  }
};

struct Largest {
  static constexpr float kStart = -std::numeric_limits<float>::infinity();
  __device__ float operator()(float a, float b) const { return fmaxf(a, b); }  // neither is NaN
};

struct Sum {
  static constexpr float kStart = 0;
  __device__ float operator()(float a, float b) const { return a + b; }
};

/// The value of all lanes of a warp.
template <class Combine>
__device__ float over_warp(float value, Combine combine) {
  for (int mask = kLanes / 2; mask > 0; mask /= 2) {
    value = combine(value, __shfl_xor_sync(~0U, value, mask));
  }
  return value;
}

/// The value of all threads of a block, for each of them. `parts` must not be written again before
/// the block's next barrier.
template <class Combine>
__device__ float over_block(float value, float (&parts)[kWarps], Combine combine) {
  const auto lane = static_cast<int>(threadIdx.x) % kLanes;
  value = over_warp(value, combine);
  if (lane == 0) parts[threadIdx.x / kLanes] = value;
  __syncthreads();
  return over_warp(lane < kWarps ? parts[lane] : Combine::kStart, combine);
}

/// A thread's vectors of a batch; scores outside of the row are -inf, which add nothing.
__device__ inline void load_batch(const float* x, const SoftmaxRow& row, std::int64_t batch,
                                  float (&to)[kSoftmaxLoads * kSoftmaxWidth]) {
#pragma unroll
  for (int k = 0; k < kSoftmaxLoads; ++k) {
    const std::int64_t vector = row.vector(batch, k, threadIdx.x);
    constexpr float kNone = Largest::kStart;
    const float4 loaded = vector < row.vectors
                              ? *reinterpret_cast<const float4*>(x + row.column(vector))
                              : float4{kNone, kNone, kNone, kNone};
    to[4 * k] = loaded.x;
    to[4 * k + 1] = loaded.y;
    to[4 * k + 2] = loaded.z;
    to[4 * k + 3] = loaded.w;
  }
}

template <class Out, class Weight>
__device__ void store_vector(Out* to, bool packed, const float* scores, Weight weight) {
  Quad<Out> quad;
#pragma unroll
  for (int j = 0; j < kSoftmaxWidth; ++j) from_float(weight(scores[j]), quad.v[j]);
  if (packed) {
    Words<Out> words;
    memcpy(&words, &quad, sizeof(words));
    put(reinterpret_cast<Words<Out>*>(to), words);
    return;
  }
#pragma unroll
  for (int j = 0; j < kSoftmaxWidth; ++j) to[j] = quad.v[j];
}

// `out` may be the scores: a thread reads its own before it writes them, and no other's after the
// block's barriers.
template <class Out>
__global__ void __launch_bounds__(kSoftmaxThreads, 2)
    softmax_rows_kernel(const __grid_constant__ SoftmaxArgs args) {
  // Each is written again only after the other's barrier in the next row.
  __shared__ float maxima[kWarps];
  __shared__ float sums[kWarps];
  const Power power;
  for (std::int64_t r = blockIdx.x; r < args.rows; r += gridDim.x) {
    const float* x = args.scores + r * args.scores_stride;
    Out* out = static_cast<Out*>(args.out) + r * args.out_stride;
    const SoftmaxRow row =
        softmax_row(reinterpret_cast<std::uintptr_t>(x), reinterpret_cast<std::uintptr_t>(out),
                    sizeof(Out), args.columns);
    const bool has_single = threadIdx.x < row.singles();
    const std::int64_t single = row.single_column(threadIdx.x);
    float scores[kSoftmaxLoads * kSoftmaxWidth];

    SoftmaxSum mine;
    if (has_single) {
      float one[1] = {x[single]};
      mine.add(one, power);
    }
#pragma unroll 1
    for (std::int64_t batch = 0; batch < row.batches(); ++batch) {
      load_batch(x, row, batch, scores);
      mine.add(scores, power);
    }
    const float max = over_block(mine.max, maxima, Largest{});
    mine.raise(max, power);
    const float factor = 1.0F / over_block(mine.sum, sums, Sum{});
    const auto weight = [&](float score) { return SoftmaxSum::term(score, max, power) * factor; };

    // Backwards: what was read last may still be in the cache.
#pragma unroll 1
    for (std::int64_t batch = row.batches() - 1; batch >= 0; --batch) {
      load_batch(x, row, batch, scores);
#pragma unroll
      for (int k = 0; k < kSoftmaxLoads; ++k) {
        const std::int64_t vector = row.vector(batch, k, threadIdx.x);
        if (vector < row.vectors) {
          store_vector(out + row.column(vector), row.packed, scores + kSoftmaxWidth * k, weight);
        }
      }
    }
    if (has_single) from_float(weight(x[single]), out[single]);
  }
}

}  // namespace
}  // namespace truetile::cuda

namespace truetile {

void softmax_rows_cuda(const SoftmaxArgs& args, CUstream_st* stream) {
  if (args.rows == 0 || args.columns == 0) {
    return;
  }
  const auto blocks = static_cast<unsigned>(
      std::min<std::int64_t>(args.rows, std::numeric_limits<std::int32_t>::max()));
  cuda::with_type(args.dtype, [&](auto type) {
    cuda::softmax_rows_kernel<decltype(type)><<<blocks, cuda::kSoftmaxThreads, 0, stream>>>(args);
  });
  cuda::check_launch("softmax_rows_kernel");
}

}  // namespace truetile
