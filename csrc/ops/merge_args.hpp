#pragma once

#include <optional>

#include "kernels/merge.hpp"
#include "ops/pixel_checks.hpp"

namespace truetile::ops {

/// The arguments of a merge as they come from the dispatcher.
struct MergeCall {
  const Tensor& y;
  const std::optional<Tensor>&bias, &residual;
  const Tensor& out;
  const char* out_name = "out";
  std::int64_t fresh = 0;  ///< rows of `out` before the first that is written
};

/// Check everything and turn tensors into pointers.
inline MergeArgs merge_args(const char* op, const MergeCall& call) {
  const auto& [y, bias, residual, out, out_name, fresh] = call;
  check_rank(op, "y", y, 4);
  MergeArgs args;
  args.dtype = float_type(op, "y", y);
  check_adjacent(op, "y", y);
  const auto check_like_y = [&](const char* name, const Tensor& tensor, std::int64_t above) {
    check_rank(op, name, tensor, 4);
    check_dtype(op, name, tensor, y, "y");
    check_device(op, name, tensor, y, "y");
    for (std::int64_t dim = 0; dim < 4; ++dim) {
      const bool longer = dim == 1 && above > 0;
      check_size(op, name, tensor, dim, y.size(dim) + (longer ? above : 0),
                 longer ? "fresh and the rows of y" : "as y");
    }
    check_adjacent(op, name, tensor);
  };
  check_like_y(out_name, out, fresh);
  if (residual) check_like_y("residual", *residual, 0);
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
  args.out_strides = pixel_strides(out);
  args.out = static_cast<char*>(out.mutable_data_ptr()) +
             fresh * args.out_strides.h * element_size(args.dtype);
  args.frames = y.size(0);
  args.rows = y.size(1);
  args.columns = y.size(2);
  args.channels = y.size(3);
  return args;
}

}  // namespace truetile::ops
