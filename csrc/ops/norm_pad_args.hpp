#pragma once

#include <optional>

#include "kernels/norm_pad.hpp"
#include "ops/pixel_checks.hpp"

namespace truetile::ops {

/// The arguments of a norm with padding as they come from the dispatcher.
struct NormPadCall {
  const Tensor &x, &out;
  const std::optional<Tensor>&scale, &shift;
  bool rms, silu;
  std::int64_t top, bottom, left, right;
  const char* x_name = "x";

  [[nodiscard]] std::string frames() const { return std::string("frames of ") + x_name; }
  [[nodiscard]] std::string channels() const { return std::string("channels of ") + x_name; }
};

/// Check the scale or the shift, and give its data and its stride from frame to frame.
inline const float* affine_data(const char* op, const char* name, const Tensor& vector,
                                const NormPadCall& call, std::int64_t& stride) {
  const Tensor& x = call.x;
  if (vector.dim() != 1 && vector.dim() != 2) {
    fail(op, std::string(name) + ".dim()", vector.dim(), "must be 1 or 2");
  }
  if (vector.scalar_type() != ScalarType::Float) {
    fail(op, std::string(name) + ".dtype", torch::headeronly::toString(vector.scalar_type()),
         "must be one of float32");
  }
  check_device(op, name, vector, x, call.x_name);
  const std::int64_t last = vector.dim() - 1;
  check_size(op, name, vector, last, x.size(3), call.channels().c_str());
  if (last == 1) check_size(op, name, vector, 0, x.size(0), call.frames().c_str());
  check_adjacent(op, name, vector);
  stride = last == 1 ? vector.stride(0) : 0;
  return static_cast<const float*>(vector.const_data_ptr());
}

inline void check_padding(const char* op, const char* name, std::int64_t value, std::int64_t most) {
  if (value < 0 || value > most) {
    fail(op, name, value, "must be in [0, " + std::to_string(most) + "]");
  }
}

/// Check everything and turn tensors into pointers.
inline NormPadArgs norm_pad_args(const char* op, const NormPadCall& call) {
  const Tensor& x = call.x;
  const Tensor& out = call.out;
  check_rank(op, call.x_name, x, 4);
  NormPadArgs args;
  args.dtype = float_type(op, call.x_name, x);
  check_adjacent(op, call.x_name, x);
  check_rank(op, "out", out, 4);
  check_dtype(op, "out", out, x, call.x_name);
  check_device(op, "out", out, x, call.x_name);
  check_size(op, "out", out, 0, x.size(0), call.frames().c_str());
  check_size(op, "out", out, 3, x.size(3), call.channels().c_str());
  check_adjacent(op, "out", out);

  check_padding(op, "top", call.top, out.size(1));
  check_padding(op, "bottom", call.bottom, out.size(1) - call.top);
  check_padding(op, "left", call.left, out.size(2));
  check_padding(op, "right", call.right, out.size(2) - call.left);
  args.frames = x.size(0);
  args.padded_rows = out.size(1);
  args.padded_columns = out.size(2);
  args.channels = x.size(3);
  args.top = call.top;
  args.bottom = call.bottom;
  args.left = call.left;
  args.right = call.right;
  const auto check_source = [&](std::int64_t dim, std::int64_t needed) {
    if (x.size(dim) < needed) {
      fail(op, std::string(call.x_name) + ".size(" + std::to_string(dim) + ")", x.size(dim),
           "must be >= " + std::to_string(needed) + " (what the interior of out reads)");
    }
  };
  check_source(1, args.rows());
  check_source(2, args.columns());

  if (call.rms && !call.scale) fail(op, "scale", "None", "must be given with rms=True");
  if (call.shift && !call.scale) fail(op, "scale", "None", "must be given with a shift");
  if (call.scale) args.scale = affine_data(op, "scale", *call.scale, call, args.scale_t);
  if (call.shift) args.shift = affine_data(op, "shift", *call.shift, call, args.shift_t);
  args.rms = call.rms;
  args.silu = call.silu;
  args.x = x.const_data_ptr();
  args.x_strides = pixel_strides(x);
  args.out = out.mutable_data_ptr();
  args.out_strides = pixel_strides(out);
  return args;
}

}  // namespace truetile::ops
