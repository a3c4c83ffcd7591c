#pragma once

#include <type_traits>

#include "kernels/cuda/norm_pad_item.hpp"

// What the kernels with a norm share: the arithmetic of a pixel and the zeros around the interior.

namespace truetile::cuda {

/// Of 16-bit types the exponential may be off by |y| * 2^-23, far below their last place.
template <class T>
__device__ float silu(float y) {
  if constexpr (std::is_same_v<T, float>) {
    return y / (1.0F + expf(-y));
  } else {
    float power;
    float inverse;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(y * -1.44269504F));
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(inverse) : "f"(1.0F + power));
    return y * inverse;
  }
}

/// sqrt(C) / ||x|| from the sum of squares of this lane; lanes of a pixel get the same.
__device__ inline float rms_factor(float sum, int lanes, float root) {
  for (int mask = lanes / 2; mask > 0; mask /= 2) sum += __shfl_xor_sync(~0U, sum, mask);
  const float length = sqrtf(sum);
  // Not fmaxf, which would drop a NaN.
  return root / (length < NormPadArgs::kEpsilon ? NormPadArgs::kEpsilon : length);
}

/// The lane's place in its warp's work.
struct Place {
  int part;    ///< first vector or element of a pixel
  int pixel;   ///< first pixel
  int pixels;  ///< of the warp at a time
};

__device__ inline Place place_of(const PixelLayout& layout) {
  const int lane = static_cast<int>(threadIdx.x);
  return {.part = lane & (layout.lanes() - 1),
          .pixel = lane >> layout.lane_bits,
          .pixels = kPixelLanes >> layout.lane_bits};
}

/// Zeros into columns [begin, end) of row y. Unit is a vector or an element.
template <class T, class Unit>
__device__ void zero(const NormPadArgs& args, const PixelLayout& layout, const Place& place,
                     std::int64_t t, std::int64_t y, std::int64_t begin, std::int64_t end) {
  T* to = static_cast<T*>(args.out) + args.out_strides.at(t, y, 0);
  for (std::int64_t x = begin + place.pixel; x < end; x += place.pixels) {
    auto* pixel = reinterpret_cast<Unit*>(to + x * args.out_strides.w);
    for (std::int64_t part = place.part; part < layout.parts; part += layout.lanes()) {
      pixel[part] = Unit{};
    }
  }
}

/// Zeros beside the interior, or all of a border row.
template <class T, class Unit>
__device__ void zero_border(const NormPadArgs& args, const PixelLayout& layout, const Place& place,
                            const NormPadItem& item) {
  if (!item.normed()) return;
  if (item.border()) {
    zero<T, Unit>(args, layout, place, item.t, item.row.out, item.begin, item.end);
    return;
  }
  if (item.first) zero<T, Unit>(args, layout, place, item.t, item.row.out, 0, args.left);
  if (item.last) {
    zero<T, Unit>(args, layout, place, item.t, item.row.out, args.left + args.columns(),
                  args.padded_columns);
  }
}

}  // namespace truetile::cuda
