// truetile::copy_boxes on CUDA; the schemas come with the CPU library.
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>

#include "ops/copy_boxes_args.hpp"
#include "ops/stream.hpp"

namespace truetile::ops {
namespace {

void copy_boxes_cuda(StableIValue* stack, std::uint64_t num_args, std::uint64_t /*num_outputs*/) {
  const std::vector<Tensor> tensors = unboxed_tensors(stack, num_args);
  const CopyBoxesArgs args = copy_boxes_args(tensors);
  if (args.count == 0) {
    return;
  }
  const torch::stable::accelerator::DeviceGuard guard(tensors.front().get_device_index());
  truetile::copy_boxes_cuda(args, current_stream(tensors.front()));
}

}  // namespace
}  // namespace truetile::ops

STABLE_TORCH_LIBRARY_IMPL(truetile, CUDA, m) {
  for (const char* name : truetile::ops::kCopyBoxes) m.impl(name, &truetile::ops::copy_boxes_cuda);
}
