// truetile::merge_norm_pad on the CPU.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include "ops/merge_norm_pad_args.hpp"

namespace truetile::ops {
namespace {

// Elements below which a thread is not worth its start.
constexpr std::int64_t kGrain = 32768;

void merge_norm_pad_cpu(const Tensor& y, std::optional<Tensor> bias, std::optional<Tensor> residual,
                        Tensor window, std::int64_t fresh, Tensor out, std::optional<Tensor> scale,
                        std::optional<Tensor> shift, bool rms, bool silu, std::int64_t top,
                        std::int64_t bottom, std::int64_t left, std::int64_t right) {
  const MergeNormPadArgs args = merge_norm_pad_args(
      {y, bias, residual, window, "window", fresh},
      {window, out, scale, shift, rms, silu, top, bottom, left, right, "window"});
  if (window.numel() == 0 && out.numel() == 0) {
    return;
  }
  const std::int64_t row = std::max<std::int64_t>(1, args.columns * args.norm.channels);
  torch::stable::parallel_for(
      0, args.norm.frames * args.work_rows(), std::max<std::int64_t>(1, kGrain / row),
      [&](std::int64_t begin, std::int64_t end) { merge_norm_pad_rows_cpu(args, begin, end); });
}

}  // namespace
}  // namespace truetile::ops

STABLE_TORCH_LIBRARY_IMPL(truetile, CPU, m) {
  m.impl("merge_norm_pad", TORCH_BOX(&truetile::ops::merge_norm_pad_cpu));
}
