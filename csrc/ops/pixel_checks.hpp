#pragma once

#include "kernels/pixels.hpp"
#include "ops/checks.hpp"

// Checks of the ops on [T, H, W, C] tensors with adjacent channels.

namespace truetile::ops {

inline PixelStrides pixel_strides(const Tensor& tensor) {
  return {tensor.stride(0), tensor.stride(1), tensor.stride(2)};
}

inline void check_size(const char* op, const char* name, const Tensor& tensor, std::int64_t dim,
                       std::int64_t size, const char* what) {
  if (tensor.size(dim) != size) {
    fail(op, std::string(name) + ".size(" + std::to_string(dim) + ")", tensor.size(dim),
         "must be " + std::to_string(size) + " (" + what + ")");
  }
}

inline void check_dtype(const char* op, const char* name, const Tensor& tensor, const Tensor& like,
                        const char* what) {
  if (!same_dtype(tensor, like)) {
    fail(op, std::string(name) + ".dtype", torch::headeronly::toString(tensor.scalar_type()),
         std::string("must be that of ") + what);
  }
}

inline void check_adjacent(const char* op, const char* name, const Tensor& tensor) {
  const std::int64_t dim = tensor.dim() - 1;
  if (tensor.size(dim) > 1 && tensor.stride(dim) != 1) {
    fail(op, std::string(name) + ".stride(" + std::to_string(dim) + ")", tensor.stride(dim),
         "must be 1");
  }
}

}  // namespace truetile::ops
