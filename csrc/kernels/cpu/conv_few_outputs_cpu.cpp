#include "kernels/conv_few_outputs.hpp"
#include "kernels/cpu/half.hpp"

namespace truetile {
namespace {

/// Output `o` of the pixel whose first tap is at `x`.
template <class T>
float pixel(const ConvFewOutputsArgs& args, const T* x, std::int64_t o) noexcept {
  constexpr std::int64_t kTaps = ConvFewOutputsArgs::kTaps;
  const T* weight =
      static_cast<const T*>(args.weight) + o * args.taps_t * kTaps * kTaps * args.channels;
  float sum = 0;
  for (std::int64_t t = 0; t < args.taps_t; ++t) {
    for (std::int64_t h = 0; h < kTaps; ++h) {
      for (std::int64_t w = 0; w < kTaps; ++w) {
        const T* from = x + args.x_strides.at(t, h, w);
        for (std::int64_t c = 0; c < args.channels; ++c)
          sum += to_float(from[c]) * to_float(*weight++);
      }
    }
  }
  return sum;
}

}  // namespace

void conv_few_outputs_rows_cpu(const ConvFewOutputsArgs& args, std::int64_t begin,
                               std::int64_t end) noexcept {
  with_type(args.dtype, [&](auto type) {
    using T = decltype(type);
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t t = i / args.rows;
      const std::int64_t h = i % args.rows;
      for (std::int64_t w = 0; w < args.columns; ++w) {
        const T* x = static_cast<const T*>(args.x) + args.x_strides.at(t, h, w);
        T* out = static_cast<T*>(args.out) + args.out_strides.at(t, h, w);
        for (std::int64_t o = 0; o < args.outputs; ++o) from_float(pixel(args, x, o), out[o]);
      }
    }
  });
}

}  // namespace truetile
