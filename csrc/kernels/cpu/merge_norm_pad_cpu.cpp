#include "kernels/merge_norm_pad.hpp"

namespace truetile {

// Row by row, so that the second half finds its row in the cache.
void merge_norm_pad_rows_cpu(const MergeNormPadArgs& args, std::int64_t begin,
                             std::int64_t end) noexcept {
  for (std::int64_t i = begin; i < end; ++i) {
    const std::int64_t t = i / args.work_rows();
    const MergeNormPadRow row = merge_norm_pad_row(args, i % args.work_rows());
    if (row.window >= args.fresh) {
      const std::int64_t at = t * args.merge.rows + row.window - args.fresh;
      merge_rows_cpu(args.merge, at, at + 1);
    }
    if (row.out != MergeNormPadRow::kNone) {
      const std::int64_t at = t * args.norm.padded_rows + row.out;
      norm_pad_rows_cpu(args.norm, at, at + 1);
    }
  }
}

}  // namespace truetile
