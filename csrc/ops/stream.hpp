#pragma once

// Only the CUDA library includes this: it names a symbol that CPU builds of torch do not have.
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/tensor.h>

#include <stdexcept>

struct CUstream_st;

namespace truetile::ops {

/// torch's current stream on the device of `tensor`.
inline CUstream_st* current_stream(const torch::stable::Tensor& tensor) {
  void* stream = nullptr;
  // Spelled out: the name of torch's check macro changed between 2.10 and 2.13.
  if (aoti_torch_get_current_cuda_stream(tensor.get_device_index(), &stream) !=
      AOTI_TORCH_SUCCESS) {
    throw std::runtime_error("torch gave no current CUDA stream");
  }
  return static_cast<CUstream_st*>(stream);
}

}  // namespace truetile::ops
