// truetile::merge on the CPU.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include "ops/merge_args.hpp"

namespace truetile::ops {
namespace {

// Elements below which a thread is not worth its start.
constexpr std::int64_t kGrain = 32768;

void merge_cpu(const Tensor& y, std::optional<Tensor> bias, std::optional<Tensor> residual,
               Tensor out) {
  const MergeArgs args = merge_args("merge", {y, bias, residual, out});
  if (y.numel() == 0) {
    return;
  }
  const std::int64_t row = args.columns * args.channels;
  torch::stable::parallel_for(
      0, args.frames * args.rows, std::max<std::int64_t>(1, kGrain / row),
      [&](std::int64_t begin, std::int64_t end) { merge_rows_cpu(args, begin, end); });
}

}  // namespace
}  // namespace truetile::ops

STABLE_TORCH_LIBRARY_IMPL(truetile, CPU, m) {
  m.impl("merge", TORCH_BOX(&truetile::ops::merge_cpu));
}
