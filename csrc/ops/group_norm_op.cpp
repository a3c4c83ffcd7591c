// truetile::group_moments and truetile::group_affine: their schemas, and both on the CPU.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include "ops/group_norm_args.hpp"

namespace truetile::ops {
namespace {

void group_moments_cpu(const Tensor& x, Tensor state, Tensor scratch, std::int64_t groups) {
  const MomentsArgs args = moments_args(x, state, scratch, groups);
  const std::int64_t parts = moment_parts_cpu(args);
  torch::stable::parallel_for(0, parts, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t part = begin; part < end; ++part) {
      group_moments_part_cpu(args, part, parts);
    }
  });
  merge_moments_cpu(args, parts);
}

void group_affine_cpu(const Tensor& state, const std::optional<Tensor>& gamma,
                      const std::optional<Tensor>& beta, double eps, Tensor scale, Tensor shift) {
  truetile::group_affine_cpu(affine_args(state, gamma, beta, eps, scale, shift));
}

}  // namespace
}  // namespace truetile::ops

STABLE_TORCH_LIBRARY_FRAGMENT(truetile, m) {
  m.def("group_moments(Tensor x, Tensor(a!) state, Tensor(b!) scratch, int groups) -> ()");
  m.def(
      "group_affine(Tensor state, Tensor? gamma, Tensor? beta, float eps, Tensor(a!) scale, "
      "Tensor(b!) shift) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(truetile, CPU, m) {
  m.impl("group_moments", TORCH_BOX(&truetile::ops::group_moments_cpu));
  m.impl("group_affine", TORCH_BOX(&truetile::ops::group_affine_cpu));
}
