#include "kernels/cuda/check.cuh"
#include "kernels/cuda/mapped.hpp"

namespace truetile {

void* mapped_pointer(void* host) {
  cudaPointerAttributes attributes{};
  cuda::check(cudaPointerGetAttributes(&attributes, host), "cudaPointerGetAttributes");
  return attributes.type == cudaMemoryTypeHost ? attributes.devicePointer : nullptr;
}

}  // namespace truetile
