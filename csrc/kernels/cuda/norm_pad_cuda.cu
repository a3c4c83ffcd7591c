#include "kernels/cuda/check.cuh"
#include "kernels/cuda/norm_pad.cuh"
#include "kernels/cuda/pixels.cuh"

namespace truetile::cuda {
namespace {

template <class T, int kVectors, bool kSilu>
__global__ void __launch_bounds__(kPixelLanes* kPixelWarps)
    norm_pad_kernel(const __grid_constant__ NormPadArgs args,
                    const __grid_constant__ PixelLayout layout) {
  constexpr int kPixels = pixels_in_flight(kVectors);
  const Place place = place_of(layout);
  const int lanes = layout.lanes();
  const auto parts = static_cast<int>(layout.parts);
  const float root = sqrtf(static_cast<float>(args.channels));
#pragma unroll 1
  for (std::int64_t i = std::int64_t{blockIdx.x} * kPixelWarps + threadIdx.y; i < layout.items;
       i += std::int64_t{gridDim.x} * kPixelWarps) {
    const NormPadItem item = norm_pad_item(args, layout, i);
    zero_border<T, uint4>(args, layout, place, item);
    if (item.row.border) continue;

    // Absent they change nothing: adding -0 keeps every value, the zeros' signs too.
    float scale[kVectors][kWidth<T>];
    float shift[kVectors][kWidth<T>];
#pragma unroll
    for (int k = 0; k < kVectors; ++k) {
#pragma unroll
      for (int j = 0; j < kWidth<T>; ++j) {
        scale[k][j] = 1.0F;
        shift[k][j] = -0.0F;
      }
      const int part = place.part + k * lanes;
      if (part >= parts) continue;
      if (args.scale != nullptr) {
        load_floats<T>(args.scale + item.t * args.scale_t + part * kWidth<T>, scale[k]);
      }
      if (args.shift != nullptr) {
        load_floats<T>(args.shift + item.t * args.shift_t + part * kWidth<T>, shift[k]);
      }
    }

    const T* from = static_cast<const T*>(args.x) + args.x_strides.at(item.t, item.row.source, 0);
    T* to = static_cast<T*>(args.out) + args.out_strides.at(item.t, item.row.begin, args.left);
    const auto copies_down = static_cast<int>(item.row.end - item.row.begin);
#pragma unroll 1
    for (std::int64_t begin = item.begin; begin < item.end; begin += kPixels * place.pixels) {
      uint4 v[kPixels][kVectors];
#pragma unroll
      for (int p = 0; p < kPixels; ++p) {
        const std::int64_t x = begin + p * place.pixels + place.pixel;
        const auto* pixel = reinterpret_cast<const uint4*>(from + x * args.x_strides.w);
#pragma unroll
        for (int k = 0; k < kVectors; ++k) {
          const int part = place.part + k * lanes;
          v[p][k] = x < item.end && part < parts ? pixel[part] : uint4{0, 0, 0, 0};
        }
      }
#pragma unroll
      for (int p = 0; p < kPixels; ++p) {
        float factor = 1.0F;
        if (args.rms) {
          float sum = 0.0F;
#pragma unroll
          for (int k = 0; k < kVectors; ++k) {
            float y[kWidth<T>];
            unpack<T>(v[p][k], y);
#pragma unroll
            for (int j = 0; j < kWidth<T>; ++j) sum = fmaf(y[j], y[j], sum);
          }
          factor = rms_factor(sum, lanes, root);
        }
#pragma unroll
        for (int k = 0; k < kVectors; ++k) {
          float y[kWidth<T>];
          unpack<T>(v[p][k], y);
#pragma unroll
          for (int j = 0; j < kWidth<T>; ++j) {
            y[j] = fmaf(y[j] * factor, scale[k][j], shift[k][j]);
            if constexpr (kSilu) y[j] = silu<T>(y[j]);
          }
          v[p][k] = pack<T>(y);
        }
        const std::int64_t x = begin + p * place.pixels + place.pixel;
        if (x >= item.end) continue;
        const std::int64_t column = x * args.up;
        const std::int64_t left = args.columns() - column;
        const int copies = static_cast<int>(left < args.up ? left : args.up);
        T* target = to + column * args.out_strides.w;
#pragma unroll 1
        for (int down = 0; down < copies_down; ++down) {
#pragma unroll 1
          for (int right = 0; right < copies; ++right) {
            auto* pixel = reinterpret_cast<uint4*>(target + down * args.out_strides.h +
                                                   right * args.out_strides.w);
#pragma unroll
            for (int k = 0; k < kVectors; ++k) {
              const int part = place.part + k * lanes;
              if (part < parts) pixel[part] = v[p][k];
            }
          }
        }
      }
    }
  }
}

/// Any channels, strides and addresses; a pixel's channels are read twice, from the cache.
template <class T>
__global__ void __launch_bounds__(kPixelLanes* kPixelWarps)
    norm_pad_elements_kernel(const __grid_constant__ NormPadArgs args,
                             const __grid_constant__ PixelLayout layout) {
  const Place place = place_of(layout);
  const int lanes = layout.lanes();
  const float root = sqrtf(static_cast<float>(args.channels));
#pragma unroll 1
  for (std::int64_t i = std::int64_t{blockIdx.x} * kPixelWarps + threadIdx.y; i < layout.items;
       i += std::int64_t{gridDim.x} * kPixelWarps) {
    const NormPadItem item = norm_pad_item(args, layout, i);
    zero_border<T, T>(args, layout, place, item);
    if (item.row.border) continue;
    const T* from = static_cast<const T*>(args.x) + args.x_strides.at(item.t, item.row.source, 0);
    for (std::int64_t begin = item.begin; begin < item.end; begin += place.pixels) {
      const std::int64_t x = begin + place.pixel;
      const std::int64_t channels = x < item.end ? args.channels : 0;
      const T* pixel = from + x * args.x_strides.w;
      float factor = 1.0F;
      if (args.rms) {
        float sum = 0.0F;
        for (std::int64_t c = place.part; c < channels; c += lanes) {
          const float y = to_float(pixel[c]);
          sum = fmaf(y, y, sum);
        }
        factor = rms_factor(sum, lanes, root);
      }
      const std::int64_t left = args.columns() - x * args.up;
      const auto copies = static_cast<int>(left < args.up ? left : args.up);
      const auto copies_down = static_cast<int>(item.row.end - item.row.begin);
      T* target = static_cast<T*>(args.out) +
                  args.out_strides.at(item.t, item.row.begin, args.left + x * args.up);
      for (std::int64_t c = place.part; c < channels; c += lanes) {
        float y = to_float(pixel[c]) * factor;
        if (args.scale != nullptr) y *= args.scale[item.t * args.scale_t + c];
        if (args.shift != nullptr) y += args.shift[item.t * args.shift_t + c];
        if (args.silu) y = silu<T>(y);
        T value;
        from_float(y, value);
#pragma unroll 1
        for (int down = 0; down < copies_down; ++down) {
#pragma unroll 1
          for (int right = 0; right < copies; ++right) {
            target[down * args.out_strides.h + right * args.out_strides.w + c] = value;
          }
        }
      }
    }
  }
}

template <class T, int kVectors>
void launch_vectors(const NormPadArgs& args, const PixelLayout& layout, cudaStream_t stream) {
  const auto kernel =
      args.silu ? norm_pad_kernel<T, kVectors, true> : norm_pad_kernel<T, kVectors, false>;
  kernel<<<pixel_blocks(layout), dim3(kPixelLanes, kPixelWarps), 0, stream>>>(args, layout);
}

template <class T>
void launch(const NormPadArgs& args, const PixelLayout& layout, cudaStream_t stream) {
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
      norm_pad_elements_kernel<T>
          <<<pixel_blocks(layout), dim3(kPixelLanes, kPixelWarps), 0, stream>>>(args, layout);
  }
  check_launch("norm_pad_kernel");
}

}  // namespace
}  // namespace truetile::cuda

namespace truetile {

void norm_pad_cuda(const NormPadArgs& args, CUstream_st* stream) {
  const cuda::PixelLayout layout = cuda::norm_pad_layout(args);
  if (layout.items == 0) {
    return;
  }
  cuda::with_type(args.dtype,
                  [&](auto type) { cuda::launch<decltype(type)>(args, layout, stream); });
}

}  // namespace truetile
