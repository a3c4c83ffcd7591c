// truetile::merge on CUDA; the schema comes with the CPU library.
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>

#include "ops/merge_args.hpp"
#include "ops/stream.hpp"

namespace truetile::ops {
namespace {

void merge_cuda(const Tensor& y, std::optional<Tensor> bias, std::optional<Tensor> residual,
                Tensor out) {
  const MergeArgs args = merge_args("merge", {y, bias, residual, out});
  if (y.numel() == 0) {
    return;
  }
  const torch::stable::accelerator::DeviceGuard guard(y.get_device_index());
  truetile::merge_cuda(args, current_stream(y));
}

}  // namespace
}  // namespace truetile::ops

STABLE_TORCH_LIBRARY_IMPL(truetile, CUDA, m) {
  m.impl("merge", TORCH_BOX(&truetile::ops::merge_cuda));
}
