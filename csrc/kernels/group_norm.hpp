#pragma once

#include <array>
#include <cstdint>

#include "kernels/dtype.hpp"

// The type behind cudaStream_t, so that no CUDA header is needed to name a launcher.
struct CUstream_st;

namespace truetile {

/// Partial moments of one call, at most: what a caller's scratch buffer must hold for each group.
inline constexpr std::int64_t kMaxMomentBlocks = 1024;
/// Channels of a pixel, at most: each block of the CUDA kernel takes up to 256 of them.
inline constexpr std::int64_t kMaxMomentChannels = 65536;

/// Number of values, mean, and sum of squared deviations from it. In double a count is exact up to
/// 2^53, where a float would stop counting at 2^24. Three doubles, as they lie in the state.
struct Moments {
  double count = 0, mean = 0, m2 = 0;
};
static_assert(sizeof(Moments) == 3 * sizeof(double));

/// Moments of both sets of values (Chan, Golub and LeVeque).
[[nodiscard]] constexpr Moments merge(const Moments& a, const Moments& b) noexcept {
  if (b.count == 0) {
    return a;  // also 0 of 0, where there is no mean
  }
  const double count = a.count + b.count;
  const double delta = b.mean - a.mean;
  const double part = b.count / count;
  return {count, a.mean + delta * part, a.m2 + b.m2 + delta * delta * (a.count * part)};
}

/// Moments of `count` values by the sums of their differences from `shift` and of the squares.
/// Exact enough where `shift` is about as far from the mean as the values are.
[[nodiscard]] constexpr Moments shifted_moments(std::int64_t count, double shift, double sum,
                                                double squares) noexcept {
  if (count == 0) {
    return {};
  }
  const auto n = static_cast<double>(count);
  return {n, shift + sum / n, squares - sum * (sum / n)};
}

/// The pixels of a strip [t, h, w, C]: rows of `width` pixels, `step` elements apart.
struct PixelRows {
  std::int64_t width = 0, step = 0;
  std::array<std::int64_t, 2> sizes = {1, 1};  ///< rows: inner and outer dimension
  std::array<std::int64_t, 2> strides = {};    ///< in elements

  [[nodiscard]] constexpr std::int64_t rows() const noexcept { return sizes[0] * sizes[1]; }
  [[nodiscard]] constexpr std::int64_t pixels() const noexcept { return width * rows(); }

  /// First element of a row, from the strip's first.
  [[nodiscard]] constexpr std::int64_t start(std::int64_t row) const noexcept {
    return row % sizes[0] * strides[0] + row / sizes[0] * strides[1];
  }
};

/// Rows as long as they can be. Sizes and strides (in elements) are those of t, h and w.
[[nodiscard]] PixelRows make_pixel_rows(const std::array<std::int64_t, 3>& sizes,
                                        const std::array<std::int64_t, 3>& strides) noexcept;

/// A strip whose channels fall into groups of neighbours; each pixel's channels are contiguous.
struct MomentsArgs {
  const void* data = nullptr;
  DType dtype = DType::float32;
  PixelRows pixels;
  std::int64_t channels = 0;
  std::int64_t groups = 0;     ///< divides channels
  Moments* state = nullptr;    ///< one for each group: what came before, then with the strip
  Moments* partial = nullptr;  ///< kMaxMomentBlocks for each group

  [[nodiscard]] constexpr std::int64_t group_channels() const noexcept { return channels / groups; }
};

/// Into how many parts the CPU splits a strip: a matter of its size alone, never of the number of
/// threads, so that results do not depend on it. 0 for an empty strip.
[[nodiscard]] std::int64_t moment_parts_cpu(const MomentsArgs& args) noexcept;

/// Write the moments of part `part` of `parts` to args.partial. Callers may run parts in any order.
void group_moments_part_cpu(const MomentsArgs& args, std::int64_t part,
                            std::int64_t parts) noexcept;

/// Merge the parts' moments into args.state, in their order.
void merge_moments_cpu(const MomentsArgs& args, std::int64_t parts) noexcept;

/// Merge the strip's moments into args.state on the current CUDA device, in order on `stream`,
/// without waiting for it. The same strip on the same kind of device gives the same bits.
/// @throws std::runtime_error when a launch fails.
void group_moments_cuda(const MomentsArgs& args, CUstream_st* stream);

/// One value for each channel, or nothing.
struct ChannelWeights {
  const void* data = nullptr;
  DType dtype = DType::float32;
};

/// GroupNorm as y = x * scale + shift, one of each for each channel.
struct AffineArgs {
  const Moments* state = nullptr;  ///< one for each group
  ChannelWeights gamma, beta;      ///< absent: 1 and 0
  double eps = 0;
  std::int64_t channels = 0;
  std::int64_t groups = 0;
  float* scale = nullptr;
  float* shift = nullptr;
};

/// Scale and shift of a channel with moments m. The shift belongs to the scale as it was rounded:
/// else a mean far from zero would multiply the rounding.
template <class Sqrt>
[[nodiscard]] constexpr std::array<float, 2> affine(const Moments& m, double gamma, double beta,
                                                    double eps, Sqrt sqrt) noexcept {
  const auto scale = static_cast<float>(gamma / sqrt(m.m2 / m.count + eps));
  return {scale, static_cast<float>(beta - m.mean * static_cast<double>(scale))};
}

/// Fill scale and shift on the CPU.
void group_affine_cpu(const AffineArgs& args) noexcept;

/// Fill scale and shift on the current CUDA device, in order on `stream`, without waiting for it.
/// @throws std::runtime_error when the launch fails.
void group_affine_cuda(const AffineArgs& args, CUstream_st* stream);

}  // namespace truetile
