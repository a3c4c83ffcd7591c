// truetile::copy_boxes on the CPU.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <algorithm>

#include "ops/copy_boxes_args.hpp"

namespace truetile::ops {
namespace {

// Elements below which a thread is not worth its start.
constexpr std::int64_t kGrain = 32768;

void copy_boxes_cpu(StableIValue* stack, std::uint64_t num_args, std::uint64_t /*num_outputs*/) {
  const std::vector<Tensor> tensors = unboxed_tensors(stack, num_args);
  const CopyBoxesArgs args = copy_boxes_args(tensors);
  std::int64_t rows = 0;
  std::int64_t longest = 1;
  for (int i = 0; i < args.count; ++i) {
    rows += args.boxes[static_cast<std::size_t>(i)].lines();
    longest = std::max(longest, args.boxes[static_cast<std::size_t>(i)].line());
  }
  torch::stable::parallel_for(
      0, rows, std::max<std::int64_t>(1, kGrain / longest),
      [&](std::int64_t begin, std::int64_t end) { copy_box_rows_cpu(args, begin, end); });
}

}  // namespace
}  // namespace truetile::ops

STABLE_TORCH_LIBRARY_IMPL(truetile, CPU, m) {
  for (const char* name : truetile::ops::kCopyBoxes) m.impl(name, &truetile::ops::copy_boxes_cpu);
}
