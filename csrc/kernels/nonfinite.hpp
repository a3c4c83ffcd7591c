#pragma once

#include <array>
#include <cstdint>

#include "kernels/dtype.hpp"

// The type behind cudaStream_t, so that no CUDA header is needed to name a launcher.
struct CUstream_st;

namespace truetile {

/// A tensor as rows of contiguous elements: `run` of them a row, one row for each index of the
/// outer dimensions. A dense tensor is one row, whatever the order of its dimensions.
struct Rows {
  static constexpr int kMaxOuter = 8;

  const void* data = nullptr;
  DType dtype = DType::float32;
  std::int64_t run = 0;
  int outer = 0;  ///< number of outer dimensions
  std::array<std::int64_t, kMaxOuter> sizes{};
  std::array<std::int64_t, kMaxOuter> strides{};  ///< in elements

  /// Number of elements of all rows.
  [[nodiscard]] std::int64_t elements() const noexcept {
    std::int64_t n = run;
    for (int i = 0; i < outer; ++i) n *= sizes[i];
    return n;
  }

  /// First element of a row, in elements from `data`.
  [[nodiscard]] constexpr std::int64_t start(std::int64_t row) const noexcept {
    std::int64_t at = 0;
    for (int i = 0; i < outer; ++i) {
      at += (row % sizes[i]) * strides[i];
      row /= sizes[i];
    }
    return at;
  }
};

/// Describe a tensor of `rank` dimensions as rows, as long as they can be.
/// @return false when more than Rows::kMaxOuter outer dimensions remain.
[[nodiscard]] bool make_rows(const std::int64_t* sizes, const std::int64_t* strides, int rank,
                             Rows& rows) noexcept;

struct NonFinite {
  std::int64_t nan = 0, inf = 0;
};

/// Count in elements [begin, end) of x, row after row, on the CPU. Callers may split the range over
/// threads.
[[nodiscard]] NonFinite count_nonfinite_cpu(const Rows& x, std::int64_t begin,
                                            std::int64_t end) noexcept;

/// Add the counts of x to counts[0] (NaN) and counts[1] (Inf) on the current CUDA device, in order
/// on `stream`, without waiting for it.
/// @throws std::runtime_error when a launch fails.
void count_nonfinite_cuda(const Rows& x, std::int64_t* counts, CUstream_st* stream);

}  // namespace truetile
