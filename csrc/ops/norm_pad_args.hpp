#pragma once

#include <optional>

#include "kernels/norm_pad.hpp"
#include "ops/pixel_checks.hpp"

namespace truetile::ops {

/// The arguments of `truetile::norm_pad` as they come from the dispatcher.
struct NormPadCall {
  const Tensor &x, &out;
  const std::optional<Tensor>&scale, &shift;
  bool rms, silu;
  std::int64_t up, skip, top, bottom, left, right;
};

/// Check the scale or the shift, and give its data and its stride from frame to frame.
inline const float* affine_data(const char* name, const Tensor& vector, const Tensor& x,
                                std::int64_t& stride) {
  const char* op = "norm_pad";
  if (vector.dim() != 1 && vector.dim() != 2) {
    fail(op, std::string(name) + ".dim()", vector.dim(), "must be 1 or 2");
  }
  if (vector.scalar_type() != ScalarType::Float) {
    fail(op, std::string(name) + ".dtype", torch::headeronly::toString(vector.scalar_type()),
         "must be one of float32");
  }
  check_device(op, name, vector, x, "x");
  const std::int64_t last = vector.dim() - 1;
  check_size(op, name, vector, last, x.size(3), "channels of x");
  if (last == 1) check_size(op, name, vector, 0, x.size(0), "frames of x");
  check_adjacent(op, name, vector);
  stride = last == 1 ? vector.stride(0) : 0;
  return static_cast<const float*>(vector.const_data_ptr());
}

inline void check_count(const char* name, std::int64_t value, std::int64_t least,
                        std::int64_t most) {
  if (value < least || value > most) {
    fail("norm_pad", name, value,
         "must be in [" + std::to_string(least) + ", " + std::to_string(most) + "]");
  }
}

/// Check everything and turn tensors into pointers.
inline NormPadArgs norm_pad_args(const NormPadCall& call) {
  const char* op = "norm_pad";
  const Tensor& x = call.x;
  const Tensor& out = call.out;
  check_rank(op, "x", x, 4);
  NormPadArgs args;
  args.dtype = float_type(op, "x", x);
  check_adjacent(op, "x", x);
  check_rank(op, "out", out, 4);
  check_dtype(op, "out", out, x, "x");
  check_device(op, "out", out, x, "x");
  check_size(op, "out", out, 0, x.size(0), "frames of x");
  check_size(op, "out", out, 3, x.size(3), "channels of x");
  check_adjacent(op, "out", out);

  check_count("up", call.up, 1, 3);
  // Far below overflow, far above any picture.
  check_count("skip", call.skip, 0, std::int64_t{1} << 40);
  check_count("top", call.top, 0, out.size(1));
  check_count("bottom", call.bottom, 0, out.size(1) - call.top);
  check_count("left", call.left, 0, out.size(2));
  check_count("right", call.right, 0, out.size(2) - call.left);
  args.frames = x.size(0);
  args.padded_rows = out.size(1);
  args.padded_columns = out.size(2);
  args.channels = x.size(3);
  args.top = call.top;
  args.bottom = call.bottom;
  args.left = call.left;
  args.right = call.right;
  args.up = call.up;
  args.skip = call.skip;
  const auto check_source = [&](std::int64_t dim, std::int64_t needed) {
    if (x.size(dim) < needed) {
      fail(op, "x.size(" + std::to_string(dim) + ")", x.size(dim),
           "must be >= " + std::to_string(needed) + " (what the interior of out reads)");
    }
  };
  if (args.rows() > 0 && args.columns() > 0) {
    check_source(1, args.first_source_row() + args.source_rows());
    check_source(2, args.source_columns());
  }

  if (call.rms && !call.scale) fail(op, "scale", "None", "must be given with rms=True");
  if (call.shift && !call.scale) fail(op, "scale", "None", "must be given with a shift");
  if (call.scale) args.scale = affine_data("scale", *call.scale, x, args.scale_t);
  if (call.shift) args.shift = affine_data("shift", *call.shift, x, args.shift_t);
  args.rms = call.rms;
  args.silu = call.silu;
  args.x = x.const_data_ptr();
  args.x_strides = pixel_strides(x);
  args.out = out.mutable_data_ptr();
  args.out_strides = pixel_strides(out);
  return args;
}

}  // namespace truetile::ops
