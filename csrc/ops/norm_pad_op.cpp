// truetile::norm_pad on the CPU.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include "ops/norm_pad_args.hpp"

namespace truetile::ops {
namespace {

// Elements below which a thread is not worth its start.
constexpr std::int64_t kGrain = 32768;

void norm_pad_cpu(const Tensor& x, Tensor out, std::optional<Tensor> scale,
                  std::optional<Tensor> shift, bool rms, bool silu, std::int64_t top,
                  std::int64_t bottom, std::int64_t left, std::int64_t right) {
  const NormPadArgs args =
      norm_pad_args("norm_pad", {x, out, scale, shift, rms, silu, top, bottom, left, right});
  if (out.numel() == 0) {
    return;
  }
  const std::int64_t row = args.padded_columns * args.channels;
  torch::stable::parallel_for(
      0, args.frames * args.padded_rows, std::max<std::int64_t>(1, kGrain / row),
      [&](std::int64_t begin, std::int64_t end) { norm_pad_rows_cpu(args, begin, end); });
}

}  // namespace
}  // namespace truetile::ops

STABLE_TORCH_LIBRARY_IMPL(truetile, CPU, m) {
  m.impl("norm_pad", TORCH_BOX(&truetile::ops::norm_pad_cpu));
}
