#pragma once

#include "kernels/merge_norm_pad.hpp"
#include "ops/merge_args.hpp"
#include "ops/norm_pad_args.hpp"

namespace truetile::ops {

/// Check everything and turn tensors into pointers.
inline MergeNormPadArgs merge_norm_pad_args(const MergeCall& merge, const NormPadCall& norm) {
  const char* op = "merge_norm_pad";
  if (merge.fresh < 0) fail(op, "fresh", merge.fresh, "must be >= 0");
  MergeNormPadArgs args = {.merge = merge_args(op, merge),
                           .norm = norm_pad_args(op, norm),
                           .fresh = merge.fresh,
                           .rows = norm.x.size(1),
                           .columns = norm.x.size(2)};
  const NormPadArgs& made = args.norm;
  const std::int64_t interior = made.out_strides.at(0, made.top, made.left);
  args.stored =
      args.merge.out != static_cast<const char*>(made.out) + interior * element_size(made.dtype);
  return args;
}

}  // namespace truetile::ops
