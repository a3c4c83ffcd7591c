#pragma once

#include <cstdint>

#include "kernels/merge.hpp"
#include "kernels/norm_pad.hpp"

struct CUstream_st;

namespace truetile {

/// The arguments of `truetile::merge_norm_pad`, checked: a merge into rows [fresh, rows) of a
/// window, and the norm of the window, of which `norm` reads what the interior of `out` takes. The
/// window may be that interior itself.
struct MergeNormPadArgs {
  MergeArgs merge;
  NormPadArgs norm;
  std::int64_t fresh = 0;
  std::int64_t rows = 0, columns = 0;  ///< of the window
  bool stored = true;                  ///< false: the window is the interior, its values are lost

  /// Work is counted in rows of `out`, and then in rows of the window beyond its interior.
  [[nodiscard]] constexpr std::int64_t work_rows() const noexcept {
    return norm.padded_rows + rows - norm.rows();
  }
};

/// One work row: a row of `out` and the row of the window that it is made from.
struct MergeNormPadRow {
  static constexpr std::int64_t kNone = -1;

  std::int64_t out = kNone;     ///< none: the window's row is only merged
  std::int64_t window = kNone;  ///< none: a row of zeros
};

[[nodiscard]] constexpr MergeNormPadRow merge_norm_pad_row(const MergeNormPadArgs& args,
                                                           std::int64_t row) noexcept {
  const NormPadArgs& norm = args.norm;
  if (row >= norm.padded_rows) {
    return {.window = norm.rows() + row - norm.padded_rows};
  }
  const std::int64_t inner = row - norm.top;
  return {.out = row, .window = inner >= 0 && inner < norm.rows() ? inner : MergeNormPadRow::kNone};
}

/// Work rows [begin, end) of frames * work_rows(), on the CPU.
void merge_norm_pad_rows_cpu(const MergeNormPadArgs& args, std::int64_t begin,
                             std::int64_t end) noexcept;

/// All of it in one launch, or in two where a pixel has no 16-byte vectors.
/// @throws std::runtime_error when a launch is refused.
void merge_norm_pad_cuda(const MergeNormPadArgs& args, CUstream_st* stream);

}  // namespace truetile
