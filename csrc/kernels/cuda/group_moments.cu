#include "kernels/cuda/convert.cuh"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/group_moments_layout.hpp"

namespace truetile::cuda {
namespace {

template <class T, int kWidth>
struct alignas(sizeof(T) * kWidth) Vector {
  T values[kWidth];
};

template <class T, int kWidth>
__device__ Vector<T, kWidth> load(const T* at) {
  return *reinterpret_cast<const Vector<T, kWidth>*>(at);
}

/// Sums, in place, of neighbouring values in pairs: few roundings one after the other.
template <int kCount>
__device__ float pair_sum(float* values) {
#pragma unroll
  for (int n = kCount / 2; n > 0; n /= 2) {
#pragma unroll
    for (int i = 0; i < n; ++i) values[i] += values[i + n];
  }
  return values[0];
}

/// Mean of neighbouring channels. Scaled first, so that values near the end of the range do not
/// overflow, and in pairs, so that a constant is its own mean to the last bit.
template <class T, int kCount>
__device__ float mean_of(const T* at) {
  const Vector<T, kCount> vector = load<T, kCount>(at);
  float values[kCount];
#pragma unroll
  for (int i = 0; i < kCount; ++i) values[i] = to_float(vector.values[i]) * (1.0F / kCount);
  return pair_sum<kCount>(values);
}

/// What a thread knows of its vector's groups: sums of differences d from a shift, and of d * d.
///
/// The shift is the mean of a few of the group's channels in the block's first pixel, so that a
/// mean far from zero cancels exactly. Sums are float over kMomentLoads vectors and double beyond.
/// With u = 2^-24: 2u for d * d, 4u for its sum over the loads and 3u for that over a vector; a sum
/// of d costs 7u of the sum of |d|, twice where it is squared. Together less than 23u of the sum of
/// squares, which is M2 (1 + (mean - shift)^2 / variance): 5.5e-6 of M2 where shifts are, over
/// the blocks, no farther from the mean than sqrt(3) deviations; a value of the data is one.
template <class T, int kWidth, int kHalves>
struct Sums {
  static constexpr int kPart = kWidth / kHalves;

  float shift[kHalves];
  double sum[kHalves] = {}, squares[kHalves] = {};
  float d[kWidth] = {}, dd[kWidth] = {};

  __device__ void add(const Vector<T, kWidth>& vector) {
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      const float difference = to_float(vector.values[i]) - shift[i / kPart];
      d[i] += difference;
      dd[i] = fmaf(difference, difference, dd[i]);
    }
  }

  __device__ void flush() {
#pragma unroll
    for (int half = 0; half < kHalves; ++half) {
      sum[half] += pair_sum<kPart>(d + half * kPart);
      squares[half] += pair_sum<kPart>(dd + half * kPart);
    }
#pragma unroll
    for (int i = 0; i < kWidth; ++i) d[i] = dd[i] = 0;
  }
};

/// Add the vectors of one thread in items [item, end); `data` is its channel in the first pixel.
template <class T, int kWidth, int kHalves>
__device__ void add_items(const PixelRows& pixels, const MomentsLayout& layout, const T* data,
                          std::int64_t item, std::int64_t end, unsigned step,
                          Sums<T, kWidth, kHalves>& sums) {
  std::int64_t row = item / layout.chunks;
  std::int64_t column = (item - row * layout.chunks) * layout.item_pixels();
  const std::int64_t stride = layout.steps * pixels.step;  // from load to load
  const T* at = data + pixels.start(row) + (column + step) * pixels.step;
  for (; item < end; ++item) {
    if (column + layout.item_pixels() <= pixels.width) {
      Vector<T, kWidth> loaded[kMomentLoads];
#pragma unroll
      for (int k = 0; k < kMomentLoads; ++k) loaded[k] = load<T, kWidth>(at + k * stride);
#pragma unroll
      for (int k = 0; k < kMomentLoads; ++k) sums.add(loaded[k]);
    } else {
      for (int k = 0; k < kMomentLoads && column + k * layout.steps + step < pixels.width; ++k) {
        sums.add(load<T, kWidth>(at + k * stride));
      }
    }
    sums.flush();
    column += layout.item_pixels();
    at += kMomentLoads * stride;
    if (column >= pixels.width && item + 1 < end) {
      column = 0;
      at = data + pixels.start(++row) + step * pixels.step;
    }
  }
}

/// Write the moments of a block's pixels and channels, one for each group.
template <class T, int kWidth, int kHalves>
__global__ void __launch_bounds__(kMomentThreads, kMomentBlocksPerProcessor)
    group_moments_kernel(const __grid_constant__ MomentsArgs args,
                         const __grid_constant__ MomentsLayout layout) {
  constexpr int kPart = kWidth / kHalves;
  __shared__ double2 shared[kMomentThreads * kHalves];
  const auto channels = static_cast<unsigned>(args.group_channels());
  const unsigned range = blockIdx.x;
  const unsigned slice = blockIdx.y;
  const std::int64_t begin = layout.first_item(range);
  const std::int64_t row = begin / layout.chunks;
  const std::int64_t column = (begin - row * layout.chunks) * layout.item_pixels();
  const T* data = static_cast<const T*>(args.data);
  const T* first = data + args.pixels.start(row) + column * args.pixels.step;

  const unsigned step = threadIdx.x / layout.lanes;
  const unsigned vector = slice * layout.lanes + threadIdx.x % layout.lanes;
  if (step < layout.steps && vector < layout.vectors) {
    Sums<T, kWidth, kHalves> sums;
#pragma unroll
    for (int half = 0; half < kHalves; ++half) {
      const unsigned group = (vector * kWidth + half * kPart) / channels;
      sums.shift[half] = mean_of<T, kPart>(first + group * channels);
    }
    add_items(args.pixels, layout, data + vector * kWidth, begin, layout.first_item(range + 1),
              step, sums);
#pragma unroll
    for (int half = 0; half < kHalves; ++half) {
      shared[threadIdx.x * kHalves + half] = {sums.sum[half], sums.squares[half]};
    }
  }
  __syncthreads();

  const unsigned parts = channels / kPart;  // of a group
  const unsigned slice_begin = layout.first_part(slice);
  const unsigned slice_end = layout.first_part(slice + 1);
  const std::int64_t pixels = layout.pixels_of(range, args.pixels);
  for (unsigned group = threadIdx.x; group < args.groups; group += kMomentThreads) {
    const unsigned part_begin = max(group * parts, slice_begin);
    const unsigned part_end = min((group + 1) * parts, slice_end);
    Moments moments;
    if (part_begin < part_end) {
      double2 total = {0, 0};
      for (unsigned at = 0; at < layout.steps; ++at) {
        for (unsigned part = part_begin; part < part_end; ++part) {
          const double2 sums = shared[at * layout.lanes * kHalves + part - slice_begin];
          total.x += sums.x;
          total.y += sums.y;
        }
      }
      const double shift = mean_of<T, kPart>(first + group * channels);
      const std::int64_t count = pixels * (part_end - part_begin) * kPart;
      moments = shifted_moments(count, shift, total.x, total.y);
    }
    const std::int64_t block = slice * layout.ranges + range;
    args.partial[block * args.groups + group] = moments;
  }
}

/// Merge one group's partial moments, and the state with them, in an order that never changes.
__global__ void __launch_bounds__(kMomentThreads)
    merge_moments_kernel(const Moments* partial, Moments* state, unsigned blocks) {
  __shared__ Moments shared[kMomentThreads];
  const unsigned group = blockIdx.x;
  Moments mine;
  for (unsigned block = threadIdx.x; block < blocks; block += kMomentThreads) {
    mine = merge(mine, partial[std::int64_t{block} * gridDim.x + group]);
  }
  shared[threadIdx.x] = mine;
  for (unsigned half = kMomentThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) {
      shared[threadIdx.x] = merge(shared[threadIdx.x], shared[threadIdx.x + half]);
    }
  }
  if (threadIdx.x == 0) {
    state[group] = merge(state[group], shared[0]);
  }
}

template <class T>
void launch(const MomentsArgs& args, const MomentsLayout& layout, cudaStream_t stream) {
  constexpr int kFull = 16 / sizeof(T);
  auto* kernel = group_moments_kernel<T, 1, 1>;
  if (layout.halves == 2) {
    kernel = group_moments_kernel<T, kFull, 2>;
  } else if (layout.width == kFull) {
    kernel = group_moments_kernel<T, kFull, 1>;
  }
  kernel<<<dim3(layout.ranges, layout.slices), kMomentThreads, 0, stream>>>(args, layout);
  check_launch("group_moments_kernel");
}

}  // namespace
}  // namespace truetile::cuda

namespace truetile {

void group_moments_cuda(const MomentsArgs& args, CUstream_st* stream) {
  if (args.pixels.pixels() == 0) {
    return;
  }
  const cuda::MomentsLayout layout = cuda::moments_layout(args, cuda::processors());
  cuda::with_type(args.dtype,
                  [&](auto type) { cuda::launch<decltype(type)>(args, layout, stream); });
  cuda::
      merge_moments_kernel<<<static_cast<unsigned>(args.groups), cuda::kMomentThreads, 0, stream>>>(
          args.partial, args.state, layout.blocks());
  cuda::check_launch("merge_moments_kernel");
}

}  // namespace truetile
