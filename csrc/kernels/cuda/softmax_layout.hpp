#pragma once

#include <cstdint>
#include <limits>

// Who reads what in the CUDA kernel of softmax, and what a thread adds up: host code too, so that
// it is proven without a GPU that every score counts once.

namespace truetile::cuda {

inline constexpr unsigned kSoftmaxThreads = 512;  ///< of a block, which takes a row at a time
inline constexpr int kSoftmaxWidth = 4;           ///< scores of a vector of 16 bytes
inline constexpr int kSoftmaxLoads = 8;           ///< vectors in flight a thread

/// How a row is read: single scores up to the first multiple of 16 bytes, vectors, single ones
/// again. Vectors are taken in batches of kSoftmaxLoads a thread.
struct SoftmaxRow {
  std::int64_t columns = 0, head = 0, vectors = 0;
  bool packed = false;  ///< whether `out` takes its elements where scores are a vector at once

  [[nodiscard]] constexpr std::int64_t batches() const noexcept {
    constexpr std::int64_t kBatch = std::int64_t{kSoftmaxLoads} * kSoftmaxThreads;
    return (vectors + kBatch - 1) / kBatch;
  }
  /// A thread's k-th vector in a batch; there is none from `vectors` on.
  [[nodiscard]] static constexpr std::int64_t vector(std::int64_t batch, int k,
                                                     unsigned thread) noexcept {
    return (batch * kSoftmaxLoads + k) * kSoftmaxThreads + thread;
  }
  /// Its first column.
  [[nodiscard]] constexpr std::int64_t column(std::int64_t vector) const noexcept {
    return head + vector * kSoftmaxWidth;
  }
  /// Scores in no vector: at most 6, so that a thread takes one of them or none.
  [[nodiscard]] constexpr std::int64_t singles() const noexcept {
    return columns - vectors * kSoftmaxWidth;
  }
  [[nodiscard]] constexpr std::int64_t single_column(std::int64_t single) const noexcept {
    return single < head ? single : single + vectors * kSoftmaxWidth;
  }
};

/// @param scores address of the row's first score, a multiple of 4
/// @param out address of its first element written
/// @param element bytes of such an element
[[nodiscard]] constexpr SoftmaxRow softmax_row(std::uint64_t scores, std::uint64_t out,
                                               std::uint64_t element,
                                               std::int64_t columns) noexcept {
  const std::uint64_t before = (0 - scores) % 16 / 4;
  SoftmaxRow row;
  row.columns = columns;
  row.head =
      static_cast<std::int64_t>(before) < columns ? static_cast<std::int64_t>(before) : columns;
  row.vectors = (columns - row.head) / kSoftmaxWidth;
  row.packed = (out + before * element) % (kSoftmaxWidth * element) == 0;
  return row;
}

/// What a thread knows of a row: the largest score, and the sum of e^(score - max).
///
/// A NaN never becomes the maximum but makes the sum NaN, as an infinity does.
struct SoftmaxSum {
  static constexpr float kLog2E = 1.44269504F;

  float max = -std::numeric_limits<float>::infinity();
  float sum = 0;

  /// e^(x - max). `power` is 2^x.
  template <class Power>
  [[nodiscard]] static constexpr float term(float x, float max, Power power) noexcept {
    return power((x - max) * kLog2E);
  }

  /// Make `most`, a value not below `max`, the maximum.
  template <class Power>
  constexpr void raise(float most, Power power) noexcept {
    sum *= term(max, most, power);
    max = most;
  }

  /// Add scores, which are overwritten: a power of 2 of them, with one rescaling and in pairs.
  template <int kCount, class Power>
  constexpr void add(float (&x)[kCount], Power power) noexcept {
    float most = max;
    for (int i = 0; i < kCount; ++i) most = x[i] > most ? x[i] : most;
    if (most > max) raise(most, power);
    // Where all are -inf so far they are 0, not the NaN of -inf minus itself: others may follow.
    const float from = max == -std::numeric_limits<float>::infinity() ? 0.0F : max;
    for (int i = 0; i < kCount; ++i) x[i] = term(x[i], from, power);
    for (int n = kCount / 2; n > 0; n /= 2) {
      for (int i = 0; i < n; ++i) x[i] += x[i + n];
    }
    sum += x[0];
  }
};

}  // namespace truetile::cuda
