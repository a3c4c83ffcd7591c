// truetile::conv_few_outputs on the CPU.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include "ops/conv_few_outputs_args.hpp"

namespace truetile::ops {
namespace {

// Products below which a thread is not worth its start.
constexpr std::int64_t kGrain = 32768;

void conv_few_outputs_cpu(const Tensor& x, const Tensor& weight, Tensor out) {
  const ConvFewOutputsArgs args = conv_few_outputs_args(x, weight, out);
  if (out.numel() == 0) {
    return;
  }
  const std::int64_t row = std::max<std::int64_t>(1, args.columns * weight.numel());
  torch::stable::parallel_for(
      0, args.frames * args.rows, std::max<std::int64_t>(1, kGrain / row),
      [&](std::int64_t begin, std::int64_t end) { conv_few_outputs_rows_cpu(args, begin, end); });
}

}  // namespace
}  // namespace truetile::ops

STABLE_TORCH_LIBRARY_IMPL(truetile, CPU, m) {
  m.impl("conv_few_outputs", TORCH_BOX(&truetile::ops::conv_few_outputs_cpu));
}
