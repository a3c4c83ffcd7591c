#include <algorithm>

#include "kernels/cuda/device.cuh"
#include "kernels/nonfinite.hpp"

namespace truetile::cuda {
namespace {

constexpr int kLanes = 32;
constexpr int kWarps = 8;
constexpr int kVectors = 4;  // 16-byte loads in flight a thread
constexpr int kBlocksPerProcessor = 8;

struct Counts {
  unsigned nan = 0, inf = 0;
};

/// Count in the elements of one 32-bit word: one float, or two halves.
/// A magnitude above the bits of infinity is NaN.
template <class Bits, unsigned kInfinity>
__device__ void count_word(unsigned word, Counts& counts) {
  if constexpr (sizeof(Bits) == 4) {
    const unsigned magnitude = word & 0x7FFFFFFFU;
    counts.nan += magnitude > kInfinity ? 1 : 0;
    counts.inf += magnitude == kInfinity ? 1 : 0;
  } else {
    const unsigned low = word & 0x7FFFU;
    const unsigned high = (word >> 16) & 0x7FFFU;
    counts.nan += (low > kInfinity ? 1 : 0) + (high > kInfinity ? 1 : 0);
    counts.inf += (low == kInfinity ? 1 : 0) + (high == kInfinity ? 1 : 0);
  }
}

/// Count in elements [begin, begin + n) of a row, n at most a warp's worth of vectors.
template <class Bits, unsigned kInfinity>
__device__ void count_chunk(const Bits* x, std::int64_t n, bool aligned, Counts& counts) {
  constexpr int kPerVector = 16 / sizeof(Bits);
  const int lane = static_cast<int>(threadIdx.x);
  std::int64_t done = 0;
  if (aligned) {
    const auto* vectors = reinterpret_cast<const uint4*>(x);
    const std::int64_t whole = n / kPerVector;
    uint4 loaded[kVectors];
#pragma unroll
    for (int k = 0; k < kVectors; ++k) {
      const std::int64_t at = k * kLanes + lane;
      loaded[k] = at < whole ? vectors[at] : uint4{0, 0, 0, 0};  // zeros count as nothing
    }
#pragma unroll
    for (int k = 0; k < kVectors; ++k) {
      count_word<Bits, kInfinity>(loaded[k].x, counts);
      count_word<Bits, kInfinity>(loaded[k].y, counts);
      count_word<Bits, kInfinity>(loaded[k].z, counts);
      count_word<Bits, kInfinity>(loaded[k].w, counts);
    }
    done = whole * kPerVector;
  }
  for (std::int64_t i = done + lane; i < n; i += kLanes) {
    count_word<Bits, kInfinity>(x[i], counts);  // a half's upper neighbour reads as 0
  }
}

/// The sum over a warp. By shuffles: Turing lacks the instruction that reduces.
__device__ inline unsigned warp_sum(unsigned value) {
  for (int mask = kLanes / 2; mask > 0; mask /= 2) value += __shfl_xor_sync(~0U, value, mask);
  return value;
}

template <class Bits, unsigned kInfinity>
__global__ void __launch_bounds__(kLanes* kWarps)
    nonfinite_kernel(const __grid_constant__ Rows x, std::int64_t chunks, std::int64_t items,
                     unsigned long long* counts) {
  constexpr std::int64_t kChunk = kVectors * kLanes * (16 / sizeof(Bits));
  __shared__ Counts sums[kWarps];
  const int warp = static_cast<int>(threadIdx.y);
  Counts mine;
  for (std::int64_t item = static_cast<std::int64_t>(blockIdx.x) * kWarps + warp; item < items;
       item += static_cast<std::int64_t>(gridDim.x) * kWarps) {
    const std::int64_t row = x.outer == 0 ? 0 : item / chunks;
    const std::int64_t begin = (item - row * chunks) * kChunk;
    const Bits* data = static_cast<const Bits*>(x.data) + (x.outer == 0 ? 0 : x.start(row)) + begin;
    const bool aligned = reinterpret_cast<std::uintptr_t>(data) % 16 == 0;
    const std::int64_t left = x.run - begin;
    count_chunk<Bits, kInfinity>(data, left < kChunk ? left : kChunk, aligned, mine);
  }
  const unsigned nan = warp_sum(mine.nan);
  const unsigned inf = warp_sum(mine.inf);
  if (threadIdx.x == 0) {
    sums[warp] = {nan, inf};
  }
  __syncthreads();
  if (threadIdx.x == 0 && warp == 0) {
    unsigned long long total_nan = 0;
    unsigned long long total_inf = 0;
    for (const Counts& sum : sums) {
      total_nan += sum.nan;
      total_inf += sum.inf;
    }
    // Nearly always there is nothing to add.
    if (total_nan != 0) atomicAdd(counts, total_nan);
    if (total_inf != 0) atomicAdd(counts + 1, total_inf);
  }
}

template <class Bits, unsigned kInfinity>
void launch(const Rows& x, std::int64_t* counts, cudaStream_t stream) {
  constexpr std::int64_t kChunk = kVectors * kLanes * (16 / sizeof(Bits));
  const std::int64_t chunks = (x.run + kChunk - 1) / kChunk;
  const std::int64_t items = x.elements() / x.run * chunks;
  const std::int64_t blocks = std::min<std::int64_t>(
      (items + kWarps - 1) / kWarps, std::int64_t{kBlocksPerProcessor} * processors());
  nonfinite_kernel<Bits, kInfinity>
      <<<static_cast<unsigned>(blocks), dim3(kLanes, kWarps), 0, stream>>>(
          x, chunks, items, reinterpret_cast<unsigned long long*>(counts));
  check_launch("nonfinite_kernel");
}

}  // namespace
}  // namespace truetile::cuda

namespace truetile {

void count_nonfinite_cuda(const Rows& x, std::int64_t* counts, CUstream_st* stream) {
  if (x.elements() == 0) {
    return;
  }
  switch (x.dtype) {
    case DType::float16:
      return cuda::launch<std::uint16_t, 0x7C00U>(x, counts, stream);
    case DType::bfloat16:
      return cuda::launch<std::uint16_t, 0x7F80U>(x, counts, stream);
    case DType::float32:
      return cuda::launch<std::uint32_t, 0x7F800000U>(x, counts, stream);
  }
}

}  // namespace truetile
