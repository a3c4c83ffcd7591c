// truetile::count_nonfinite on CUDA; the schema comes with the CPU library.
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>

#include "ops/nonfinite_args.hpp"
#include "ops/stream.hpp"

namespace truetile::ops {
namespace {

void count_nonfinite_cuda(const Tensor& x, Tensor counts) {
  const Rows rows = nonfinite_rows(x, counts);
  const torch::stable::accelerator::DeviceGuard guard(x.get_device_index());
  truetile::count_nonfinite_cuda(rows, static_cast<std::int64_t*>(counts.mutable_data_ptr()),
                                 current_stream(x));
}

}  // namespace
}  // namespace truetile::ops

STABLE_TORCH_LIBRARY_IMPL(truetile, CUDA, m) {
  m.impl("count_nonfinite", TORCH_BOX(&truetile::ops::count_nonfinite_cuda));
}
