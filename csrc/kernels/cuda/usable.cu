#include <cuda_runtime.h>

#include <string>

#include "kernels/cuda/usable.hpp"

namespace truetile::cuda {
namespace {

/// Compiled for the same architectures as every kernel, it stands for all of them.
__global__ void nothing_kernel() {}

std::string version(int number) {
  return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
}

std::string describe() {
  cudaFuncAttributes attributes{};
  const cudaError_t status = cudaFuncGetAttributes(&attributes, nothing_kernel);
  if (status == cudaSuccess) {
    return {};
  }
  // torch's next call must not report this error as its own.
  static_cast<void>(cudaGetLastError());
  std::string why = std::string(cudaGetErrorString(status)) + " (built with CUDA " +
                    version(CUDART_VERSION) + " for GPUs " TRUETILE_CUDA_ARCHITECTURES;
  int driver = 0;
  if (cudaDriverGetVersion(&driver) == cudaSuccess) {
    why += driver == 0 ? ", no NVIDIA driver" : ", the driver supports " + version(driver);
  }
  int device = 0;
  cudaDeviceProp gpu{};
  if (cudaGetDevice(&device) == cudaSuccess &&
      cudaGetDeviceProperties(&gpu, device) == cudaSuccess) {
    why += ", this GPU is " + std::to_string(10 * gpu.major + gpu.minor);
  }
  static_cast<void>(cudaGetLastError());
  return why + ")";
}

}  // namespace

const char* unusable() noexcept {
  static const std::string why = describe();
  return why.empty() ? nullptr : why.c_str();
}

}  // namespace truetile::cuda
