#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/cpu/half.hpp"
#include "kernels/norm_pad.hpp"

namespace truetile {
namespace {

/// sqrt(C) / ||x||, with partial sums that vectorise and keep the rounding small.
template <class T>
float rms_factor(const T* x, std::int64_t channels) noexcept {
  constexpr std::int64_t kSums = 16;
  std::array<float, kSums> sums{};
  for (std::int64_t c = 0; c < channels; c += kSums) {
    const std::int64_t n = std::min(kSums, channels - c);
    for (std::int64_t i = 0; i < n; ++i) {
      const float value = to_float(x[c + i]);
      sums[static_cast<std::size_t>(i)] += value * value;
    }
  }
  float sum = 0.0F;
  for (const float part : sums) sum += part;
  const float length = std::sqrt(sum);
  // Not std::max, which would drop a NaN.
  const float least = length < NormPadArgs::kEpsilon ? NormPadArgs::kEpsilon : length;
  return std::sqrt(static_cast<float>(channels)) / least;
}

template <class T>
void write_pixel(const NormPadArgs& args, std::int64_t t, const T* x, T* out) noexcept {
  if (args.scale == nullptr && !args.silu) {
    if (x != out) std::copy_n(x, args.channels, out);
    return;
  }
  const float factor = args.rms ? rms_factor(x, args.channels) : 1.0F;
  const float* scale = args.scale == nullptr ? nullptr : args.scale + t * args.scale_t;
  const float* shift = args.shift == nullptr ? nullptr : args.shift + t * args.shift_t;
  for (std::int64_t c = 0; c < args.channels; ++c) {
    float value = to_float(x[c]);
    if (scale != nullptr) value = value * factor * scale[c];
    if (shift != nullptr) value += shift[c];
    if (args.silu) value /= 1.0F + std::exp(-value);
    from_float(value, out[c]);
  }
}

template <class T>
void zero(const NormPadArgs& args, T* row, std::int64_t begin, std::int64_t end) noexcept {
  for (std::int64_t x = begin; x < end; ++x) {
    std::fill_n(row + x * args.out_strides.w, args.channels, T{});
  }
}

template <class T>
void rows(const NormPadArgs& args, std::int64_t begin, std::int64_t end) noexcept {
  for (std::int64_t i = begin; i < end; ++i) {
    const std::int64_t t = i / args.padded_rows;
    const std::int64_t y = i % args.padded_rows;
    T* to = static_cast<T*>(args.out) + args.out_strides.at(t, y, 0);
    if (y < args.top || y >= args.top + args.rows()) {
      zero(args, to, 0, args.padded_columns);
      continue;
    }
    zero(args, to, 0, args.left);
    zero(args, to, args.left + args.columns(), args.padded_columns);
    const T* from = static_cast<const T*>(args.x) + args.x_strides.at(t, y - args.top, 0);
    for (std::int64_t x = 0; x < args.columns(); ++x) {
      write_pixel(args, t, from + x * args.x_strides.w, to + (args.left + x) * args.out_strides.w);
    }
  }
}

}  // namespace

void norm_pad_rows_cpu(const NormPadArgs& args, std::int64_t begin, std::int64_t end) noexcept {
  with_type(args.dtype, [&](auto type) { rows<decltype(type)>(args, begin, end); });
}

}  // namespace truetile
