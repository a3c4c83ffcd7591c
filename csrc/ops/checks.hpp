#pragma once

#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/blend.hpp"
#include "kernels/nonfinite.hpp"

// Argument checks of the ops, shared by the CPU and the CUDA library. `truetile/native/checks.py`
// says the same for the twins. Each message names the argument, its value and what is allowed.

namespace truetile::ops {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;
using Ints = std::vector<std::int64_t>;

/// The axes of a triple, in its order.
inline constexpr std::array<const char*, 3> kAxes = {"t", "y", "x"};

/// "op: name=got: rule". torch hands it over as RuntimeError, `truetile.native` as ValueError.
template <class Got>
[[noreturn]] void fail(const char* op, const std::string& name, const Got& got,
                       const std::string& rule) {
  std::ostringstream message;
  message << op << ": " << name << "=" << got << ": " << rule;
  throw std::runtime_error(message.str());
}

inline std::string device_name(const Tensor& tensor) {
  const char* type = tensor.is_cuda() ? "cuda:" : (tensor.is_cpu() ? "cpu" : "another device");
  return tensor.is_cuda() ? type + std::to_string(tensor.get_device_index()) : type;
}

/// A number that torch keeps of a tensor, as it is: what stable::Tensor makes of it takes a dozen
/// calls, in ops that take as long as a small kernel.
inline std::int32_t number_of(const Tensor& tensor,
                              AOTITorchError (*get)(AtenTensorHandle, std::int32_t*)) {
  std::int32_t number = 0;
  if (get(tensor.get(), &number) != AOTI_TORCH_SUCCESS) {
    throw std::runtime_error("torch gave no dtype or device of a tensor");
  }
  return number;
}

inline bool same_device(const Tensor& a, const Tensor& b) {
  return number_of(a, aoti_torch_get_device_type) == number_of(b, aoti_torch_get_device_type) &&
         number_of(a, aoti_torch_get_device_index) == number_of(b, aoti_torch_get_device_index);
}

inline bool same_dtype(const Tensor& a, const Tensor& b) {
  return number_of(a, aoti_torch_get_dtype) == number_of(b, aoti_torch_get_dtype);
}

inline DType float_type(const char* op, const char* name, const Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case ScalarType::Float:
      return DType::float32;
    case ScalarType::Half:
      return DType::float16;
    case ScalarType::BFloat16:
      return DType::bfloat16;
    default:
      fail(op, std::string(name) + ".dtype", torch::headeronly::toString(tensor.scalar_type()),
           "must be one of float32, float16, bfloat16");
  }
}

inline void check_rank(const char* op, const char* name, const Tensor& tensor, std::int64_t rank) {
  if (tensor.dim() != rank) {
    fail(op, std::string(name) + ".dim()", tensor.dim(), "must be " + std::to_string(rank));
  }
}

inline void check_device(const char* op, const char* name, const Tensor& tensor, const Tensor& like,
                         const char* what) {
  if (!same_device(tensor, like)) {
    fail(op, std::string(name) + ".device", device_name(tensor),
         "must be " + device_name(like) + " (" + what + ")");
  }
}

inline void check_range(const char* op, const char* name, std::size_t axis, std::int64_t value,
                        std::int64_t low, std::int64_t high, const std::string& why) {
  if (value < low || value > high) {
    fail(op, std::string(name) + "[" + std::to_string(axis) + "]", value,
         "must be in [" + std::to_string(low) + ", " + std::to_string(high) + "] (" + why + ")");
  }
}

inline Strides strides_of(const Tensor& tensor) {
  return {tensor.stride(0), tensor.stride(1), tensor.stride(2), tensor.stride(3)};
}

/// Check a line buffer whose axis has a zone; `least` are the sizes it must have or exceed.
/// @return its data, null when there is no zone.
inline float* line_data(const char* op, const char* name, const Tensor& line, const Tensor& block,
                        std::int64_t zone, const std::array<std::int64_t, 4>& least,
                        Strides& strides) {
  if (zone == 0) {
    return nullptr;
  }
  check_rank(op, name, line, 4);
  if (line.scalar_type() != ScalarType::Float) {
    fail(op, std::string(name) + ".dtype", torch::headeronly::toString(line.scalar_type()),
         "must be one of float32");
  }
  check_device(op, name, line, block, "block");
  if (!line.is_contiguous()) {
    std::ostringstream got;
    got << "[" << line.stride(0) << ", " << line.stride(1) << ", " << line.stride(2) << ", "
        << line.stride(3) << "]";
    fail(op, std::string(name) + ".stride()", got.str(), "must be contiguous");
  }
  if (line.size(0) != least[0]) {
    fail(op, std::string(name) + ".size(0)", line.size(0),
         "must be " + std::to_string(least[0]) + " (channels of block)");
  }
  for (std::size_t i = 1; i < 4; ++i) {
    if (line.size(static_cast<std::int64_t>(i)) < least[i]) {
      fail(op, std::string(name) + ".size(" + std::to_string(i) + ")",
           line.size(static_cast<std::int64_t>(i)), "must be >= " + std::to_string(least[i]));
    }
  }
  strides = strides_of(line);
  return static_cast<float*>(line.mutable_data_ptr());
}

}  // namespace truetile::ops
