// truetile::blend_tile on CUDA; the schema comes with the CPU library.
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>

#include "kernels/cuda/mapped.hpp"
#include "ops/blend_args.hpp"
#include "ops/stream.hpp"

namespace truetile::ops {
namespace {

void blend_tile_cuda(const Tensor& block, Tensor out, Tensor line_x, Tensor line_y, Tensor line_t,
                     const Ints& use, const Ints& lead, const Ints& tail, const Ints& offset,
                     const Ints& origin, const Ints& out_origin, double scale, double shift,
                     double lo, double hi) {
  BlendArgs args = blend_args({block, out, line_x, line_y, line_t, use, lead, tail, offset, origin,
                               out_origin, scale, shift, lo, hi});
  if (block.numel() == 0) {
    return;
  }
  const torch::stable::accelerator::DeviceGuard guard(block.get_device_index());
  if (out.is_cpu()) {
    args.out = mapped_pointer(args.out);
    if (args.out == nullptr) {
      fail("blend_tile", "out.is_pinned()", "False",
           "must be pinned when out is on the cpu and block on " + device_name(block));
    }
  }
  truetile::blend_tile_cuda(args, current_stream(block));
}

}  // namespace
}  // namespace truetile::ops

STABLE_TORCH_LIBRARY_IMPL(truetile, CUDA, m) {
  m.impl("blend_tile", TORCH_BOX(&truetile::ops::blend_tile_cuda));
}
