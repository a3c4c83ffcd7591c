#pragma once

#include "kernels/softmax.hpp"
#include "ops/pixel_checks.hpp"

namespace truetile::ops {

/// Check everything and turn tensors into pointers.
inline SoftmaxArgs softmax_args(const Tensor& scores, const Tensor& out) {
  const char* op = "softmax_rows";
  check_rank(op, "scores", scores, 2);
  if (scores.scalar_type() != ScalarType::Float) {
    fail(op, "scores.dtype", torch::headeronly::toString(scores.scalar_type()),
         "must be one of float32");
  }
  check_adjacent(op, "scores", scores);
  check_rank(op, "out", out, 2);
  SoftmaxArgs args;
  args.dtype = float_type(op, "out", out);
  check_device(op, "out", out, scores, "scores");
  check_size(op, "out", out, 0, scores.size(0), "as scores");
  check_size(op, "out", out, 1, scores.size(1), "as scores");
  check_adjacent(op, "out", out);
  args.scores = static_cast<const float*>(scores.const_data_ptr());
  args.out = out.mutable_data_ptr();
  args.scores_stride = scores.stride(0);
  args.out_stride = out.stride(0);
  args.rows = scores.size(0);
  args.columns = scores.size(1);
  return args;
}

}  // namespace truetile::ops
