// truetile::group_moments and truetile::group_affine on CUDA; their schemas come with the CPU
// library.
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>

#include "ops/group_norm_args.hpp"
#include "ops/stream.hpp"

namespace truetile::ops {
namespace {

void group_moments_cuda(const Tensor& x, Tensor state, Tensor scratch, std::int64_t groups) {
  const MomentsArgs args = moments_args(x, state, scratch, groups);
  const torch::stable::accelerator::DeviceGuard guard(x.get_device_index());
  truetile::group_moments_cuda(args, current_stream(x));
}

void group_affine_cuda(const Tensor& state, const std::optional<Tensor>& gamma,
                       const std::optional<Tensor>& beta, double eps, Tensor scale, Tensor shift) {
  const AffineArgs args = affine_args(state, gamma, beta, eps, scale, shift);
  const torch::stable::accelerator::DeviceGuard guard(scale.get_device_index());
  truetile::group_affine_cuda(args, current_stream(scale));
}

}  // namespace
}  // namespace truetile::ops

STABLE_TORCH_LIBRARY_IMPL(truetile, CUDA, m) {
  m.impl("group_moments", TORCH_BOX(&truetile::ops::group_moments_cuda));
  m.impl("group_affine", TORCH_BOX(&truetile::ops::group_affine_cuda));
}
