#include "kernels/cuda/check.cuh"
#include "kernels/cuda/convert.cuh"
#include "kernels/group_norm.hpp"

namespace truetile::cuda {
namespace {

constexpr unsigned kThreads = 256;

template <class T>
__device__ double weight_of(const ChannelWeights& weights, std::int64_t channel) {
  return to_float(static_cast<const T*>(weights.data)[channel]);
}

__device__ double weight(const ChannelWeights& weights, std::int64_t channel, double absent) {
  if (weights.data == nullptr) {
    return absent;
  }
  switch (weights.dtype) {
    case DType::float16:
      return weight_of<__half>(weights, channel);
    case DType::bfloat16:
      return weight_of<__nv_bfloat16>(weights, channel);
    case DType::float32:
      break;
  }
  return weight_of<float>(weights, channel);
}

__global__ void __launch_bounds__(kThreads)
    group_affine_kernel(const __grid_constant__ AffineArgs args) {
  const std::int64_t channel = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (channel >= args.channels) {
    return;
  }
  const Moments& m = args.state[channel / (args.channels / args.groups)];
  const auto [scale, shift] =
      affine(m, weight(args.gamma, channel, 1.0), weight(args.beta, channel, 0.0), args.eps,
             [](double value) { return sqrt(value); });
  args.scale[channel] = scale;
  args.shift[channel] = shift;
}

}  // namespace
}  // namespace truetile::cuda

namespace truetile {

void group_affine_cuda(const AffineArgs& args, CUstream_st* stream) {
  const std::int64_t blocks = (args.channels + cuda::kThreads - 1) / cuda::kThreads;
  cuda::group_affine_kernel<<<static_cast<unsigned>(blocks), cuda::kThreads, 0, stream>>>(args);
  cuda::check_launch("group_affine_kernel");
}

}  // namespace truetile
