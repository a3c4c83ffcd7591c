#include <algorithm>
#include <cmath>

#include "kernels/cpu/half.hpp"
#include "kernels/group_norm.hpp"

namespace truetile {
namespace {

constexpr std::int64_t kPartElements = std::int64_t{1} << 18;  // worth a thread's start
constexpr std::int64_t kRun = 128;  // channels whose sums are held at a time

/// Add the moments of pixels [begin, end) and of channels [first, first + n) to their groups.
template <class T>
void add_run(const MomentsArgs& args, std::int64_t begin, std::int64_t end, std::int64_t first,
             std::int64_t n, Moments* groups) noexcept {
  // Differences from the first pixel, in double: a mean far from zero costs no digits.
  std::array<double, kRun> shift{};
  std::array<double, kRun> sum{};
  std::array<double, kRun> squares{};
  const PixelRows& pixels = args.pixels;
  for (std::int64_t at = begin; at < end;) {
    const std::int64_t column = at % pixels.width;
    const std::int64_t stop = std::min(end, at + pixels.width - column);
    const T* x = static_cast<const T*>(args.data) + first + pixels.start(at / pixels.width) +
                 column * pixels.step;
    if (at == begin) {
      for (std::int64_t i = 0; i < n; ++i) shift[i] = to_float(x[i]);
    }
    for (; at < stop; ++at, x += pixels.step) {
      for (std::int64_t i = 0; i < n; ++i) {
        const double d = static_cast<double>(to_float(x[i])) - shift[i];
        sum[i] += d;
        squares[i] += d * d;
      }
    }
  }
  for (std::int64_t i = 0; i < n; ++i) {
    Moments& group = groups[(first + i) / args.group_channels()];
    group = merge(group, shifted_moments(end - begin, shift[i], sum[i], squares[i]));
  }
}

double weight(const ChannelWeights& weights, std::int64_t channel, double absent) noexcept {
  if (weights.data == nullptr) {
    return absent;
  }
  return with_type(weights.dtype, [&](auto type) -> double {
    return to_float(static_cast<const decltype(type)*>(weights.data)[channel]);
  });
}

}  // namespace

PixelRows make_pixel_rows(const std::array<std::int64_t, 3>& sizes,
                          const std::array<std::int64_t, 3>& strides) noexcept {
  PixelRows rows{.width = 1};
  std::size_t outer = 0;
  for (std::size_t i = 3; i-- > 0;) {
    if (sizes[i] == 1) {
      continue;
    }
    if (outer == 0 && (rows.width == 1 || strides[i] == rows.width * rows.step)) {
      rows.step = rows.width == 1 ? strides[i] : rows.step;
      rows.width *= sizes[i];
    } else if (outer == 1 && strides[i] == rows.sizes[0] * rows.strides[0]) {
      rows.sizes[0] *= sizes[i];
    } else {
      rows.sizes[outer] = sizes[i];
      rows.strides[outer++] = strides[i];
    }
  }
  return rows;
}

std::int64_t moment_parts_cpu(const MomentsArgs& args) noexcept {
  const std::int64_t pixels = args.pixels.pixels();
  const std::int64_t parts = pixels * args.channels / kPartElements;
  return std::min(pixels, std::clamp<std::int64_t>(parts, 1, kMaxMomentBlocks));
}

void group_moments_part_cpu(const MomentsArgs& args, std::int64_t part,
                            std::int64_t parts) noexcept {
  const std::int64_t pixels = args.pixels.pixels();
  Moments* groups = args.partial + part * args.groups;
  std::fill_n(groups, args.groups, Moments{});
  with_type(args.dtype, [&](auto type) {
    for (std::int64_t first = 0; first < args.channels; first += kRun) {
      add_run<decltype(type)>(args, pixels * part / parts, pixels * (part + 1) / parts, first,
                              std::min(kRun, args.channels - first), groups);
    }
  });
}

void merge_moments_cpu(const MomentsArgs& args, std::int64_t parts) noexcept {
  for (std::int64_t part = 0; part < parts; ++part) {
    for (std::int64_t group = 0; group < args.groups; ++group) {
      args.state[group] = merge(args.state[group], args.partial[part * args.groups + group]);
    }
  }
}

void group_affine_cpu(const AffineArgs& args) noexcept {
  for (std::int64_t channel = 0; channel < args.channels; ++channel) {
    const Moments& m = args.state[channel / (args.channels / args.groups)];
    const auto [scale, shift] =
        affine(m, weight(args.gamma, channel, 1.0), weight(args.beta, channel, 0.0), args.eps,
               [](double value) { return std::sqrt(value); });
    args.scale[channel] = scale;
    args.shift[channel] = shift;
  }
}

}  // namespace truetile
