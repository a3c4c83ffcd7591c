#include <algorithm>

#include "kernels/cpu/half.hpp"
#include "kernels/merge.hpp"

namespace truetile {
namespace {

template <class T>
const T* pixel(const void* data, const PixelStrides& strides, std::int64_t t, std::int64_t h,
               std::int64_t w) noexcept {
  return data == nullptr ? nullptr : static_cast<const T*>(data) + strides.at(t, h, w);
}

template <class T, class Bias>
void rows(const MergeArgs& args, std::int64_t begin, std::int64_t end) noexcept {
  const auto* bias = static_cast<const Bias*>(args.bias);
  for (std::int64_t i = begin; i < end; ++i) {
    const std::int64_t t = i / args.rows;
    const std::int64_t h = i % args.rows;
    for (std::int64_t w = 0; w < args.columns; ++w) {
      const T* y = pixel<T>(args.y, args.y_strides, t, h, w);
      const T* residual = pixel<T>(args.residual, args.residual_strides, t, h, w);
      T* out = static_cast<T*>(args.out) + args.out_strides.at(t, h, w);
      if (bias == nullptr && residual == nullptr) {  // every bit, of a NaN too
        std::copy_n(y, args.channels, out);
        continue;
      }
      for (std::int64_t c = 0; c < args.channels; ++c) {
        float value = to_float(y[c]);
        if (bias != nullptr) value += to_float(bias[c]);
        if (residual != nullptr) value += to_float(residual[c]);
        from_float(value, out[c]);
      }
    }
  }
}

}  // namespace

void merge_rows_cpu(const MergeArgs& args, std::int64_t begin, std::int64_t end) noexcept {
  with_type(args.dtype, [&](auto type) {
    using T = decltype(type);
    if (args.bias_dtype == DType::float32) return rows<T, float>(args, begin, end);
    rows<T, T>(args, begin, end);
  });
}

}  // namespace truetile
