#include "kernels/cuda/check.cuh"
#include "kernels/cuda/merge.cuh"
#include "kernels/cuda/merge_layout.hpp"

namespace truetile::cuda {
namespace {

/// A warp's segment of a row.
struct Segment {
  std::int64_t t, h, begin, end;
};

__device__ Segment segment_of(const MergeArgs& args, const PixelLayout& layout, std::int64_t i) {
  const std::int64_t row = i / layout.segments;
  const std::int64_t begin = (i - row * layout.segments) * layout.segment;
  const std::int64_t end = begin + layout.segment;
  const std::int64_t t = row / args.rows;
  return {t, row - t * args.rows, begin, end < args.columns ? end : args.columns};
}

// `out` may be y or the residual: a lane reads its own pixels before it writes them.
template <class T, int kVectors>
__global__ void __launch_bounds__(kPixelLanes* kPixelWarps)
    merge_kernel(const __grid_constant__ MergeArgs args,
                 const __grid_constant__ PixelLayout layout) {
  constexpr int kPixels = pixels_in_flight(kVectors);
  const int lane = static_cast<int>(threadIdx.x);
  const int lanes = layout.lanes();
  const int first_part = lane & (lanes - 1);
  const auto parts = static_cast<int>(layout.parts);
  const int pixels = kPixelLanes >> layout.lane_bits;
  float bias[kVectors][kWidth<T>];
#pragma unroll
  for (int k = 0; k < kVectors; ++k) {
    const int part = first_part + k * lanes;
    load_bias<T>(args, part < parts ? part : 0, bias[k]);
  }
#pragma unroll 1
  for (std::int64_t i = std::int64_t{blockIdx.x} * kPixelWarps + threadIdx.y; i < layout.items;
       i += std::int64_t{gridDim.x} * kPixelWarps) {
    const Segment at = segment_of(args, layout, i);
    const T* y = static_cast<const T*>(args.y) + args.y_strides.at(at.t, at.h, 0);
    const T* residual = args.residual == nullptr ? nullptr
                                                 : static_cast<const T*>(args.residual) +
                                                       args.residual_strides.at(at.t, at.h, 0);
    T* out = static_cast<T*>(args.out) + args.out_strides.at(at.t, at.h, 0);
#pragma unroll 1
    for (std::int64_t begin = at.begin + (lane >> layout.lane_bits); begin < at.end;
         begin += kPixels * pixels) {
      uint4 value[kPixels][kVectors];
      uint4 added[kPixels][kVectors];
#pragma unroll
      for (int p = 0; p < kPixels; ++p) {
        const std::int64_t x = begin + p * pixels;
        const auto* from = reinterpret_cast<const uint4*>(y + x * args.y_strides.w);
        const auto* more = reinterpret_cast<const uint4*>(residual + x * args.residual_strides.w);
#pragma unroll
        for (int k = 0; k < kVectors; ++k) {
          const int part = first_part + k * lanes;
          const bool inside = x < at.end && part < parts;
          value[p][k] = inside ? from[part] : uint4{0, 0, 0, 0};
          added[p][k] = inside && residual != nullptr ? more[part] : uint4{0, 0, 0, 0};
        }
      }
#pragma unroll
      for (int p = 0; p < kPixels; ++p) {
        const std::int64_t x = begin + p * pixels;
        auto* to = reinterpret_cast<uint4*>(out + x * args.out_strides.w);
#pragma unroll
        for (int k = 0; k < kVectors; ++k) {
          const uint4 merged = merge_vector<T>(args, value[p][k], added[p][k], bias[k]);
          const int part = first_part + k * lanes;
          if (x < at.end && part < parts) to[part] = merged;
        }
      }
    }
  }
}

/// Any channels, strides and addresses.
template <class T>
__global__ void __launch_bounds__(kPixelLanes* kPixelWarps)
    merge_elements_kernel(const __grid_constant__ MergeArgs args,
                          const __grid_constant__ PixelLayout layout) {
  const int lane = static_cast<int>(threadIdx.x);
  const int lanes = layout.lanes();
#pragma unroll 1
  for (std::int64_t i = std::int64_t{blockIdx.x} * kPixelWarps + threadIdx.y; i < layout.items;
       i += std::int64_t{gridDim.x} * kPixelWarps) {
    const Segment at = segment_of(args, layout, i);
    for (std::int64_t x = at.begin + (lane >> layout.lane_bits); x < at.end;
         x += kPixelLanes >> layout.lane_bits) {
      const T* y = static_cast<const T*>(args.y) + args.y_strides.at(at.t, at.h, x);
      const T* residual =
          static_cast<const T*>(args.residual) + args.residual_strides.at(at.t, at.h, x);
      T* out = static_cast<T*>(args.out) + args.out_strides.at(at.t, at.h, x);
      for (std::int64_t c = lane & (lanes - 1); c < args.channels; c += lanes) {
        if (args.bias == nullptr && args.residual == nullptr) {
          out[c] = y[c];
          continue;
        }
        float value = to_float(y[c]);
        if (args.bias != nullptr) {
          value += args.bias_dtype == DType::float32
                       ? static_cast<const float*>(args.bias)[c]
                       : to_float(static_cast<const T*>(args.bias)[c]);
        }
        if (args.residual != nullptr) value += to_float(residual[c]);
        from_float(value, out[c]);
      }
    }
  }
}

template <class T, int kVectors>
void launch_vectors(const MergeArgs& args, const PixelLayout& layout, cudaStream_t stream) {
  merge_kernel<T, kVectors>
      <<<pixel_blocks(layout), dim3(kPixelLanes, kPixelWarps), 0, stream>>>(args, layout);
}

template <class T>
void launch(const MergeArgs& args, const PixelLayout& layout, cudaStream_t stream) {
  switch (layout.vectors) {
    case 1:
      launch_vectors<T, 1>(args, layout, stream);
      break;
    case 2:
      launch_vectors<T, 2>(args, layout, stream);
      break;
    case 3:
      launch_vectors<T, 3>(args, layout, stream);
      break;
    case 4:
      launch_vectors<T, 4>(args, layout, stream);
      break;
    case 6:
      if constexpr (std::is_same_v<T, float>) launch_vectors<T, 6>(args, layout, stream);
      break;
    case 8:
      if constexpr (std::is_same_v<T, float>) launch_vectors<T, 8>(args, layout, stream);
      break;
    default:
      merge_elements_kernel<T>
          <<<pixel_blocks(layout), dim3(kPixelLanes, kPixelWarps), 0, stream>>>(args, layout);
  }
  check_launch("merge_kernel");
}

}  // namespace
}  // namespace truetile::cuda

namespace truetile {

void merge_cuda(const MergeArgs& args, CUstream_st* stream) {
  const MergeArgs narrow = cuda::merge_with_narrow_pixels(args);
  const cuda::PixelLayout layout = cuda::merge_layout(narrow);
  if (layout.items == 0) {
    return;
  }
  cuda::with_type(args.dtype,
                  [&](auto type) { cuda::launch<decltype(type)>(narrow, layout, stream); });
}

}  // namespace truetile
