// truetile::norm_pad on CUDA; the schema comes with the CPU library.
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>

#include "ops/norm_pad_args.hpp"
#include "ops/stream.hpp"

namespace truetile::ops {
namespace {

void norm_pad_cuda(const Tensor& x, Tensor out, std::optional<Tensor> scale,
                   std::optional<Tensor> shift, bool rms, bool silu, std::int64_t top,
                   std::int64_t bottom, std::int64_t left, std::int64_t right) {
  const NormPadArgs args =
      norm_pad_args("norm_pad", {x, out, scale, shift, rms, silu, top, bottom, left, right});
  if (out.numel() == 0) {
    return;
  }
  const torch::stable::accelerator::DeviceGuard guard(x.get_device_index());
  truetile::norm_pad_cuda(args, current_stream(x));
}

}  // namespace
}  // namespace truetile::ops

STABLE_TORCH_LIBRARY_IMPL(truetile, CUDA, m) {
  m.impl("norm_pad", TORCH_BOX(&truetile::ops::norm_pad_cuda));
}
