// truetile::count_nonfinite on the CPU.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <atomic>

#include "ops/nonfinite_args.hpp"

namespace truetile::ops {
namespace {

constexpr std::int64_t kGrain = 1 << 18;

void count_nonfinite_cpu(const Tensor& x, Tensor counts) {
  const Rows rows = nonfinite_rows(x, counts);
  std::atomic<std::int64_t> nan = 0;
  std::atomic<std::int64_t> inf = 0;
  torch::stable::parallel_for(
      0, rows.elements(), kGrain, [&](std::int64_t begin, std::int64_t end) {
        const NonFinite found = truetile::count_nonfinite_cpu(rows, begin, end);
        nan += found.nan;
        inf += found.inf;
      });
  auto* to = static_cast<std::int64_t*>(counts.mutable_data_ptr());
  to[0] += nan;
  to[1] += inf;
}

}  // namespace
}  // namespace truetile::ops

STABLE_TORCH_LIBRARY_IMPL(truetile, CPU, m) {
  m.impl("count_nonfinite", TORCH_BOX(&truetile::ops::count_nonfinite_cpu));
}
