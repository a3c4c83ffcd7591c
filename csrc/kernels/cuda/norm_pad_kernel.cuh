#pragma once

#include "kernels/cuda/check.cuh"
#include "kernels/cuda/merge.cuh"
#include "kernels/cuda/norm_pad.cuh"

// The kernel of norm_pad and of merge_norm_pad, which differ in where a row's values come from.

namespace truetile::cuda {

/// Where the values of one row of the window come from, and where they go on the way.
template <class T>
struct NormPadSource {
  const T* values;  ///< of y, or of the window
  std::int64_t step;
  const T* residual;  ///< null: none
  T* window;          ///< where the sum is kept, or null
  bool merged;        ///< false: the values are sums already
};

template <class T, bool kMerge>
__device__ NormPadSource<T> source_of(const MergeNormPadArgs& args, const NormPadItem& item) {
  const NormPadArgs& norm = args.norm;
  const MergeArgs& merge = args.merge;
  const std::int64_t row = item.row.window - args.fresh;
  if (!kMerge || row < 0) {
    return {static_cast<const T*>(norm.x) + norm.x_strides.at(item.t, item.row.window, 0),
            norm.x_strides.w, nullptr, nullptr, false};
  }
  return {static_cast<const T*>(merge.y) + merge.y_strides.at(item.t, row, 0), merge.y_strides.w,
          merge.residual == nullptr
              ? nullptr
              : static_cast<const T*>(merge.residual) + merge.residual_strides.at(item.t, row, 0),
          args.stored ? static_cast<T*>(merge.out) + merge.out_strides.at(item.t, row, 0) : nullptr,
          true};
}

/// Scale and shift of one vector of channels. Absent they change nothing: adding -0 keeps every
/// value, the zeros' signs too.
template <class T>
__device__ void load_affine(const NormPadArgs& args, std::int64_t t, int part,
                            float (&scale)[kWidth<T>], float (&shift)[kWidth<T>]) {
#pragma unroll
  for (int j = 0; j < kWidth<T>; ++j) {
    scale[j] = 1.0F;
    shift[j] = -0.0F;
  }
  if (args.scale != nullptr) {
    load_floats<T>(args.scale + t * args.scale_t + part * kWidth<T>, scale);
  }
  if (args.shift != nullptr) {
    load_floats<T>(args.shift + t * args.shift_t + part * kWidth<T>, shift);
  }
}

template <class T, int kVectors, bool kSilu, bool kMerge>
__global__ void __launch_bounds__(kPixelLanes* kPixelWarps)
    norm_pad_kernel(const __grid_constant__ MergeNormPadArgs args,
                    const __grid_constant__ PixelLayout layout) {
  constexpr int kPixels = pixels_in_flight(kVectors);
  // Weights stay in registers where these suffice for two blocks; else the cache has them.
  constexpr bool kHeld = !kMerge && kVectors < 4;
  const NormPadArgs& norm = args.norm;
  const Place place = place_of(layout);
  const int lanes = layout.lanes();
  const auto parts = static_cast<int>(layout.parts);
  const float root = sqrtf(static_cast<float>(norm.channels));
  float scale[kVectors][kWidth<T>];
  float shift[kVectors][kWidth<T>];
#pragma unroll 1
  for (std::int64_t i = std::int64_t{blockIdx.x} * kPixelWarps + threadIdx.y; i < layout.items;
       i += std::int64_t{gridDim.x} * kPixelWarps) {
    const NormPadItem item = norm_pad_item(args, layout, i);
    zero_border<T, uint4>(norm, layout, place, item);
    if (item.border()) continue;
    if constexpr (kHeld) {
#pragma unroll
      for (int k = 0; k < kVectors; ++k) {
        const int part = place.part + k * lanes;
        load_affine<T>(norm, item.t, part < parts ? part : 0, scale[k], shift[k]);
      }
    }
    const NormPadSource<T> source = source_of<T, kMerge>(args, item);
    // A window may be larger than the interior of out.
    const std::int64_t interior = item.normed() ? norm.columns() : 0;
    T* out = static_cast<T*>(norm.out) + norm.out_strides.at(item.t, item.row.out, norm.left);
#pragma unroll 1
    for (std::int64_t begin = item.begin + place.pixel; begin < item.end + place.pixel;
         begin += kPixels * place.pixels) {
      uint4 v[kPixels][kVectors];
      uint4 added[kPixels][kVectors];
#pragma unroll
      for (int p = 0; p < kPixels; ++p) {
        const std::int64_t x = begin + p * place.pixels;
        const auto* values = reinterpret_cast<const uint4*>(source.values + x * source.step);
        const auto* residual =
            reinterpret_cast<const uint4*>(source.residual + x * args.merge.residual_strides.w);
#pragma unroll
        for (int k = 0; k < kVectors; ++k) {
          const int part = place.part + k * lanes;
          const bool inside = x < item.end && part < parts;
          v[p][k] = inside ? values[part] : uint4{0, 0, 0, 0};
          if constexpr (kMerge) {
            added[p][k] = inside && source.residual != nullptr ? residual[part] : uint4{0, 0, 0, 0};
          }
        }
      }
      if (kMerge && source.merged) {
#pragma unroll
        for (int k = 0; k < kVectors; ++k) {
          const int part = place.part + k * lanes;
          float bias[kWidth<T>];
          load_bias<T>(args.merge, part < parts ? part : 0, bias);
#pragma unroll
          for (int p = 0; p < kPixels; ++p) {
            const std::int64_t x = begin + p * place.pixels;
            if (x >= item.end || part >= parts) continue;
            v[p][k] = merge_vector<T>(args.merge, v[p][k], added[p][k], bias);
            if (source.window == nullptr) continue;
            reinterpret_cast<uint4*>(source.window + x * args.merge.out_strides.w)[part] = v[p][k];
          }
        }
      }
      float factor[kPixels];
#pragma unroll
      for (int p = 0; p < kPixels; ++p) {
        factor[p] = 1.0F;
        if (!norm.rms) continue;
        float sum = 0.0F;
#pragma unroll
        for (int k = 0; k < kVectors; ++k) {
          float y[kWidth<T>];
          unpack<T>(v[p][k], y);
#pragma unroll
          for (int j = 0; j < kWidth<T>; ++j) sum = fmaf(y[j], y[j], sum);
        }
        factor[p] = rms_factor(sum, lanes, root);
      }
#pragma unroll
      for (int k = 0; k < kVectors; ++k) {
        const int part = place.part + k * lanes;
        if constexpr (!kHeld) {
          load_affine<T>(norm, item.t, part < parts ? part : 0, scale[k], shift[k]);
        }
#pragma unroll
        for (int p = 0; p < kPixels; ++p) {
          float y[kWidth<T>];
          unpack<T>(v[p][k], y);
#pragma unroll
          for (int j = 0; j < kWidth<T>; ++j) {
            y[j] = fmaf(y[j] * factor[p], scale[k][j], shift[k][j]);
            if constexpr (kSilu) y[j] = silu<T>(y[j]);
          }
          const std::int64_t x = begin + p * place.pixels;
          if (x >= item.end || x >= interior || part >= parts) continue;
          reinterpret_cast<uint4*>(out + x * norm.out_strides.w)[part] = pack<T>(y);
        }
      }
    }
  }
}

template <class T, int kVectors, bool kMerge>
void launch_vectors(const MergeNormPadArgs& args, const PixelLayout& layout, cudaStream_t stream) {
  const auto kernel = args.norm.silu ? norm_pad_kernel<T, kVectors, true, kMerge>
                                     : norm_pad_kernel<T, kVectors, false, kMerge>;
  kernel<<<pixel_blocks(layout), dim3(kPixelLanes, kPixelWarps), 0, stream>>>(args, layout);
}

/// Of a layout that has vectors.
template <class T, bool kMerge>
void launch_norm_pad(const MergeNormPadArgs& args, const PixelLayout& layout, cudaStream_t stream) {
  switch (layout.vectors) {
    case 1:
      return launch_vectors<T, 1, kMerge>(args, layout, stream);
    case 2:
      return launch_vectors<T, 2, kMerge>(args, layout, stream);
    case 3:
      return launch_vectors<T, 3, kMerge>(args, layout, stream);
    case 4:
      return launch_vectors<T, 4, kMerge>(args, layout, stream);
    case 6:
      if constexpr (std::is_same_v<T, float>) launch_vectors<T, 6, kMerge>(args, layout, stream);
      return;
    default:
      if constexpr (std::is_same_v<T, float>) launch_vectors<T, 8, kMerge>(args, layout, stream);
  }
}

}  // namespace truetile::cuda
