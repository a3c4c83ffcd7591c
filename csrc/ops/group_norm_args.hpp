#pragma once

#include <cmath>
#include <optional>

#include "kernels/group_norm.hpp"
#include "ops/checks.hpp"

namespace truetile::ops {

/// Check that a tensor is contiguous, of one dtype and on the device of another.
inline void check_buffer(const char* op, const char* name, const Tensor& tensor, ScalarType dtype,
                         const Tensor& like, const char* what) {
  if (tensor.scalar_type() != dtype) {
    fail(op, std::string(name) + ".dtype", torch::headeronly::toString(tensor.scalar_type()),
         std::string("must be one of ") + (dtype == ScalarType::Double ? "float64" : "float32"));
  }
  if (!tensor.is_contiguous()) {
    fail(op, std::string(name) + ".is_contiguous()", "False", "must be True");
  }
  check_device(op, name, tensor, like, what);
}

/// Check a state of moments; the number of its groups must divide `channels`.
inline Moments* state_data(const char* op, const Tensor& state, std::int64_t channels,
                           const Tensor& like, const char* what) {
  check_rank(op, "state", state, 2);
  if (state.size(1) != 3) {
    fail(op, "state.size(1)", state.size(1), "must be 3 (count, mean, M2)");
  }
  check_buffer(op, "state", state, ScalarType::Double, like, what);
  if (state.size(0) < 1 || channels % state.size(0) != 0) {
    fail(op, "state.size(0)", state.size(0),
         "must be >= 1 and divide the channels=" + std::to_string(channels));
  }
  return static_cast<Moments*>(state.mutable_data_ptr());
}

/// Check the arguments of `truetile::group_moments`.
inline MomentsArgs moments_args(const Tensor& x, const Tensor& state, const Tensor& scratch,
                                std::int64_t groups) {
  const char* op = "group_moments";
  MomentsArgs args;
  check_rank(op, "x", x, 4);
  args.dtype = float_type(op, "x", x);
  args.channels = x.size(3);
  if (args.channels < 1 || args.channels > kMaxMomentChannels) {
    fail(op, "x.size(3)", args.channels,
         "must be in [1, " + std::to_string(kMaxMomentChannels) + "] (channels)");
  }
  if (args.channels > 1 && x.stride(3) != 1) {
    fail(op, "x.stride(3)", x.stride(3), "must be 1 (a pixel's channels are contiguous)");
  }
  if (groups < 1 || args.channels % groups != 0) {
    fail(op, "groups", groups,
         "must be >= 1 and divide x.size(3)=" + std::to_string(args.channels));
  }
  args.groups = groups;
  args.state = state_data(op, state, args.channels, x, "x");
  if (state.size(0) != groups) {
    fail(op, "state.size(0)", state.size(0), "must be " + std::to_string(groups) + " (groups)");
  }
  check_buffer(op, "scratch", scratch, ScalarType::Double, x, "x");
  const std::int64_t needed = 3 * kMaxMomentBlocks * groups;
  if (scratch.numel() < needed) {
    fail(op, "scratch.numel()", scratch.numel(), "must be >= " + std::to_string(needed));
  }
  args.partial = static_cast<Moments*>(scratch.mutable_data_ptr());
  args.data = x.const_data_ptr();
  args.pixels =
      make_pixel_rows({x.size(0), x.size(1), x.size(2)}, {x.stride(0), x.stride(1), x.stride(2)});
  return args;
}

/// Check an optional weight of `truetile::group_affine`.
inline ChannelWeights channel_weights(const char* name, const std::optional<Tensor>& weights,
                                      const Tensor& scale) {
  if (!weights.has_value()) {
    return {};
  }
  const char* op = "group_affine";
  check_rank(op, name, *weights, 1);
  const DType dtype = float_type(op, name, *weights);
  if (weights->size(0) != scale.size(0)) {
    fail(op, std::string(name) + ".size(0)", weights->size(0),
         "must be " + std::to_string(scale.size(0)) + " (scale)");
  }
  check_buffer(op, name, *weights, weights->scalar_type(), scale, "scale");
  return {weights->const_data_ptr(), dtype};
}

/// Check the arguments of `truetile::group_affine`.
inline AffineArgs affine_args(const Tensor& state, const std::optional<Tensor>& gamma,
                              const std::optional<Tensor>& beta, double eps, const Tensor& scale,
                              const Tensor& shift) {
  const char* op = "group_affine";
  AffineArgs args;
  check_rank(op, "scale", scale, 1);
  check_buffer(op, "scale", scale, ScalarType::Float, scale, "scale");
  check_rank(op, "shift", shift, 1);
  check_buffer(op, "shift", shift, ScalarType::Float, scale, "scale");
  args.channels = scale.size(0);
  if (args.channels < 1) {
    fail(op, "scale.size(0)", args.channels, "must be >= 1 (channels)");
  }
  if (shift.size(0) != args.channels) {
    fail(op, "shift.size(0)", shift.size(0),
         "must be " + std::to_string(args.channels) + " (scale)");
  }
  args.state = state_data(op, state, args.channels, scale, "scale");
  args.groups = state.size(0);
  args.gamma = channel_weights("gamma", gamma, scale);
  args.beta = channel_weights("beta", beta, scale);
  if (!(eps >= 0) || std::isinf(eps)) {
    fail(op, "eps", eps, "must be >= 0 and finite");
  }
  args.eps = eps;
  args.scale = static_cast<float*>(scale.mutable_data_ptr());
  args.shift = static_cast<float*>(shift.mutable_data_ptr());
  return args;
}

}  // namespace truetile::ops
