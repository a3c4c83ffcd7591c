#pragma once

#include "ops/checks.hpp"

namespace truetile::ops {

/// Check the arguments of `truetile::count_nonfinite` and turn x into rows.
inline Rows nonfinite_rows(const Tensor& x, const Tensor& counts) {
  const char* op = "count_nonfinite";
  const DType dtype = float_type(op, "x", x);
  check_rank(op, "counts", counts, 1);
  if (counts.scalar_type() != ScalarType::Long) {
    fail(op, "counts.dtype", torch::headeronly::toString(counts.scalar_type()),
         "must be one of int64");
  }
  if (counts.size(0) != 2) {
    fail(op, "counts.size(0)", counts.size(0), "must be 2 (NaN, Inf)");
  }
  if (!counts.is_contiguous()) {
    fail(op, "counts.stride(0)", counts.stride(0), "must be 1 (contiguous)");
  }
  check_device(op, "counts", counts, x, "x");
  Rows rows;
  if (!make_rows(x.sizes().data(), x.strides().data(), static_cast<int>(x.dim()), rows)) {
    fail(op, "x.dim()", x.dim(),
         "must leave at most " + std::to_string(Rows::kMaxOuter) +
             " dimensions after merging contiguous ones");
  }
  rows.data = x.const_data_ptr();
  rows.dtype = dtype;
  return rows;
}

}  // namespace truetile::ops
