// truetile::softmax_rows on the CPU.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include "ops/softmax_args.hpp"

namespace truetile::ops {
namespace {

// Elements below which a thread is not worth its start.
constexpr std::int64_t kGrain = 8192;

void softmax_rows_cpu(const Tensor& scores, Tensor out) {
  const SoftmaxArgs args = softmax_args(scores, out);
  if (scores.numel() == 0) {
    return;
  }
  torch::stable::parallel_for(
      0, args.rows, std::max<std::int64_t>(1, kGrain / args.columns),
      [&](std::int64_t begin, std::int64_t end) { truetile::softmax_rows_cpu(args, begin, end); });
}

}  // namespace
}  // namespace truetile::ops

STABLE_TORCH_LIBRARY_IMPL(truetile, CPU, m) {
  m.impl("softmax_rows", TORCH_BOX(&truetile::ops::softmax_rows_cpu));
}
