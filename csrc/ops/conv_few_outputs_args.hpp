#pragma once

#include "kernels/conv_few_outputs.hpp"
#include "ops/pixel_checks.hpp"

namespace truetile::ops {

/// Check everything and turn tensors into pointers.
inline ConvFewOutputsArgs conv_few_outputs_args(const Tensor& x, const Tensor& weight,
                                                const Tensor& out) {
  const char* op = "conv_few_outputs";
  check_rank(op, "x", x, 4);
  ConvFewOutputsArgs args;
  args.dtype = float_type(op, "x", x);
  check_adjacent(op, "x", x);

  check_rank(op, "weight", weight, 5);
  check_dtype(op, "weight", weight, x, "x");
  check_device(op, "weight", weight, x, "x");
  args.outputs = weight.size(0);
  args.taps_t = weight.size(1);
  if (args.outputs < 1 || args.outputs > ConvFewOutputsArgs::kMostOutputs) {
    fail(op, "weight.size(0)", args.outputs, "must be in [1, 4] (outputs)");
  }
  if (args.taps_t != 1 && args.taps_t != 3) {
    fail(op, "weight.size(1)", args.taps_t, "must be 1 or 3 (taps in time)");
  }
  check_size(op, "weight", weight, 2, ConvFewOutputsArgs::kTaps, "taps in rows");
  check_size(op, "weight", weight, 3, ConvFewOutputsArgs::kTaps, "taps in columns");
  check_size(op, "weight", weight, 4, x.size(3), "channels of x");
  if (!weight.is_contiguous()) fail(op, "weight.is_contiguous()", "False", "must be contiguous");

  check_rank(op, "out", out, 4);
  check_dtype(op, "out", out, x, "x");
  check_device(op, "out", out, x, "x");
  const auto valid = [&](std::int64_t dim, std::int64_t taps) {
    return std::max<std::int64_t>(0, x.size(dim) - taps + 1);
  };
  check_size(op, "out", out, 0, valid(0, args.taps_t), "whole kernels in the frames of x");
  check_size(op, "out", out, 1, valid(1, ConvFewOutputsArgs::kTaps), "in its rows");
  check_size(op, "out", out, 2, valid(2, ConvFewOutputsArgs::kTaps), "in its columns");
  check_size(op, "out", out, 3, args.outputs, "outputs of weight");
  check_adjacent(op, "out", out);
  args.x = x.const_data_ptr();
  args.weight = weight.const_data_ptr();
  args.out = out.mutable_data_ptr();
  args.x_strides = pixel_strides(x);
  args.out_strides = pixel_strides(out);
  args.frames = out.size(0);
  args.rows = out.size(1);
  args.columns = out.size(2);
  args.channels = x.size(3);
  return args;
}

}  // namespace truetile::ops
