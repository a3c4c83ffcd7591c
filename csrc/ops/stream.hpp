#pragma once

// Only the CUDA library includes this: it names a symbol that CPU builds of torch do not have.
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/macros.h>
#include <torch/csrc/stable/tensor.h>

struct CUstream_st;

namespace truetile::ops {

/// torch's current stream on the device of `tensor`.
inline CUstream_st* current_stream(const torch::stable::Tensor& tensor) {
  void* stream = nullptr;
  STABLE_TORCH_ERROR_CODE_CHECK(
      aoti_torch_get_current_cuda_stream(tensor.get_device_index(), &stream));
  return static_cast<CUstream_st*>(stream);
}

}  // namespace truetile::ops
