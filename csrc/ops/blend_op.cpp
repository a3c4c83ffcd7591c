// truetile::blend_tile on the CPU.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include "ops/blend_args.hpp"

namespace truetile::ops {
namespace {

// Pixels times channels below which a thread is not worth its start.
constexpr std::int64_t kGrain = 32768;

void blend_tile_cpu(const Tensor& block, Tensor out, Tensor line_x, Tensor line_y, Tensor line_t,
                    const Ints& use, const Ints& lead, const Ints& tail, const Ints& offset,
                    const Ints& origin, const Ints& out_origin, double scale, double shift,
                    double lo, double hi) {
  const BlendArgs args = blend_args({block, out, line_x, line_y, line_t, use, lead, tail, offset,
                                     origin, out_origin, scale, shift, lo, hi});
  for (const BlendTask& task : blend_tasks(args)) {
    if (task.empty()) {
      continue;
    }
    const std::int64_t row = std::max<std::int64_t>(1, task.channels * task.x.size);
    torch::stable::parallel_for(
        0, task.t.size * task.y.size, std::max<std::int64_t>(1, kGrain / row),
        [&](std::int64_t begin, std::int64_t end) { blend_rows_cpu(task, begin, end); });
  }
}

}  // namespace
}  // namespace truetile::ops

STABLE_TORCH_LIBRARY_IMPL(truetile, CPU, m) {
  m.impl("blend_tile", TORCH_BOX(&truetile::ops::blend_tile_cpu));
}
