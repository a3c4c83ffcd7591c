#pragma once

#include <optional>

#include "kernels/merge.hpp"
#include "ops/pixel_checks.hpp"

namespace truetile::ops {

/// Check the arguments of `truetile::merge` and turn tensors into pointers.
inline MergeArgs merge_args(const Tensor& y, const std::optional<Tensor>& bias,
                            const std::optional<Tensor>& residual, const Tensor& out) {
  const char* op = "merge";
  check_rank(op, "y", y, 4);
  MergeArgs args;
  args.dtype = float_type(op, "y", y);
  check_adjacent(op, "y", y);
  const auto check_like_y = [&](const char* name, const Tensor& tensor) {
    check_rank(op, name, tensor, 4);
    check_dtype(op, name, tensor, y, "y");
    check_device(op, name, tensor, y, "y");
    for (std::int64_t dim = 0; dim < 4; ++dim) {
      check_size(op, name, tensor, dim, y.size(dim), "as y");
    }
    check_adjacent(op, name, tensor);
  };
  check_like_y("out", out);
  if (residual) check_like_y("residual", *residual);
  if (bias) {
    check_rank(op, "bias", *bias, 1);
    if (bias->scalar_type() != ScalarType::Float)
      check_dtype(op, "bias", *bias, y, "y, or float32");
    check_device(op, "bias", *bias, y, "y");
    check_size(op, "bias", *bias, 0, y.size(3), "channels of y");
    check_adjacent(op, "bias", *bias);
    args.bias = bias->const_data_ptr();
    args.bias_dtype = float_type(op, "bias", *bias);
  }
  if (residual) {
    args.residual = residual->const_data_ptr();
    args.residual_strides = pixel_strides(*residual);
  }
  args.y = y.const_data_ptr();
  args.y_strides = pixel_strides(y);
  args.out = out.mutable_data_ptr();
  args.out_strides = pixel_strides(out);
  args.frames = y.size(0);
  args.rows = y.size(1);
  args.columns = y.size(2);
  args.channels = y.size(3);
  return args;
}

}  // namespace truetile::ops
