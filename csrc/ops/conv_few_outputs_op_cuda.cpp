// truetile::conv_few_outputs on CUDA; the schema comes with the CPU library.
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>

#include "ops/conv_few_outputs_args.hpp"
#include "ops/stream.hpp"

namespace truetile::ops {
namespace {

// Channels of a tensor core's factor. truetile.native asks for no others.
constexpr std::int64_t kMultiple = 16;

void conv_few_outputs_cuda(const Tensor& x, const Tensor& weight, Tensor out) {
  const ConvFewOutputsArgs args = conv_few_outputs_args(x, weight, out);
  const char* op = "conv_few_outputs";
  if (args.dtype == DType::float32) {
    fail(op, "x.dtype", "Float", "must be one of float16, bfloat16 on CUDA");
  }
  if (args.channels == 0 || args.channels % kMultiple != 0) {
    fail(op, "x.size(3)", args.channels, "must be a multiple of 16 on CUDA");
  }
  const torch::stable::accelerator::DeviceGuard guard(x.get_device_index());
  truetile::conv_few_outputs_cuda(args, current_stream(x));
}

}  // namespace
}  // namespace truetile::ops

STABLE_TORCH_LIBRARY_IMPL(truetile, CUDA, m) {
  m.impl("conv_few_outputs", TORCH_BOX(&truetile::ops::conv_few_outputs_cuda));
}
