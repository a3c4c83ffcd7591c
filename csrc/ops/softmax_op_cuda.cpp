// truetile::softmax_rows on CUDA; the schema comes with the CPU library.
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>

#include "ops/softmax_args.hpp"
#include "ops/stream.hpp"

namespace truetile::ops {
namespace {

void softmax_rows_cuda(const Tensor& scores, Tensor out) {
  const SoftmaxArgs args = softmax_args(scores, out);
  const torch::stable::accelerator::DeviceGuard guard(scores.get_device_index());
  truetile::softmax_rows_cuda(args, current_stream(scores));
}

}  // namespace
}  // namespace truetile::ops

STABLE_TORCH_LIBRARY_IMPL(truetile, CUDA, m) {
  m.impl("softmax_rows", TORCH_BOX(&truetile::ops::softmax_rows_cuda));
}
