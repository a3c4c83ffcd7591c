#include "kernels/cuda/norm_pad_kernel.cuh"

namespace truetile::cuda {
namespace {

/// Any channels, strides and addresses; a pixel's channels are read twice, from the cache.
template <class T>
__global__ void __launch_bounds__(kPixelLanes* kPixelWarps)
    norm_pad_elements_kernel(const __grid_constant__ MergeNormPadArgs args,
                             const __grid_constant__ PixelLayout layout) {
  const NormPadArgs& norm = args.norm;
  const Place place = place_of(layout);
  const int lanes = layout.lanes();
  const float root = sqrtf(static_cast<float>(norm.channels));
#pragma unroll 1
  for (std::int64_t i = std::int64_t{blockIdx.x} * kPixelWarps + threadIdx.y; i < layout.items;
       i += std::int64_t{gridDim.x} * kPixelWarps) {
    const NormPadItem item = norm_pad_item(args, layout, i);
    zero_border<T, T>(norm, layout, place, item);
    if (item.border()) continue;
    const T* from = static_cast<const T*>(norm.x) + norm.x_strides.at(item.t, item.row.window, 0);
    T* to = static_cast<T*>(norm.out) + norm.out_strides.at(item.t, item.row.out, norm.left);
    for (std::int64_t begin = item.begin; begin < item.end; begin += place.pixels) {
      const std::int64_t x = begin + place.pixel;
      const std::int64_t channels = x < item.end ? norm.channels : 0;
      const T* pixel = from + x * norm.x_strides.w;
      float factor = 1.0F;
      if (norm.rms) {
        float sum = 0.0F;
        for (std::int64_t c = place.part; c < channels; c += lanes) {
          const float y = to_float(pixel[c]);
          sum = fmaf(y, y, sum);
        }
        factor = rms_factor(sum, lanes, root);
      }
      for (std::int64_t c = place.part; c < channels; c += lanes) {
        float y = to_float(pixel[c]) * factor;
        if (norm.scale != nullptr) y *= norm.scale[item.t * norm.scale_t + c];
        if (norm.shift != nullptr) y += norm.shift[item.t * norm.shift_t + c];
        if (norm.silu) y = silu<T>(y);
        from_float(y, to[x * norm.out_strides.w + c]);
      }
    }
  }
}

}  // namespace
}  // namespace truetile::cuda

namespace truetile {

void norm_pad_cuda(const NormPadArgs& args, CUstream_st* stream) {
  const MergeNormPadArgs call = cuda::norm_only(args);
  const cuda::PixelLayout layout = cuda::norm_pad_layout(call, cuda::norm_pad_aligned(args));
  if (layout.items == 0) {
    return;
  }
  cuda::with_type(args.dtype, [&](auto type) {
    using T = decltype(type);
    if (layout.vectors > 0) {
      cuda::launch_norm_pad<T, false>(call, layout, stream);
    } else {
      cuda::norm_pad_elements_kernel<T>
          <<<cuda::pixel_blocks(layout), dim3(cuda::kPixelLanes, cuda::kPixelWarps), 0, stream>>>(
              call, layout);
    }
    cuda::check_launch("norm_pad_kernel");
  });
}

}  // namespace truetile
