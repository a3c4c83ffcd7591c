// truetile::merge_norm_pad on CUDA; the schema comes with the CPU library.
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>

#include "ops/merge_norm_pad_args.hpp"
#include "ops/stream.hpp"

namespace truetile::ops {
namespace {

void merge_norm_pad_cuda(const Tensor& y, std::optional<Tensor> bias,
                         std::optional<Tensor> residual, Tensor window, std::int64_t fresh,
                         Tensor out, std::optional<Tensor> scale, std::optional<Tensor> shift,
                         bool rms, bool silu, std::int64_t top, std::int64_t bottom,
                         std::int64_t left, std::int64_t right) {
  const MergeNormPadArgs args = merge_norm_pad_args(
      {y, bias, residual, window, "window", fresh},
      {window, out, scale, shift, rms, silu, top, bottom, left, right, "window"});
  if (window.numel() == 0 && out.numel() == 0) {
    return;
  }
  const torch::stable::accelerator::DeviceGuard guard(y.get_device_index());
  truetile::merge_norm_pad_cuda(args, current_stream(y));
}

}  // namespace
}  // namespace truetile::ops

STABLE_TORCH_LIBRARY_IMPL(truetile, CUDA, m) {
  m.impl("merge_norm_pad", TORCH_BOX(&truetile::ops::merge_norm_pad_cuda));
}
