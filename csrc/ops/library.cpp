// What torch knows of the ops, on any device: the schemas. The CPU library registers them for the
// CUDA library too, which is loaded after it.
#include <torch/csrc/stable/library.h>

STABLE_TORCH_LIBRARY(truetile, m) {
  m.def(
      "blend_tile(Tensor block, Tensor(a!) out, Tensor(b!) line_x, Tensor(c!) line_y, "
      "Tensor(d!) line_t, int[] use, int[] lead, int[] tail, int[] offset, int[] origin, "
      "int[] out_origin, float scale, float shift, float lo, float hi) -> ()");
  m.def("count_nonfinite(Tensor x, Tensor(a!) counts) -> ()");
  m.def(
      "norm_pad(Tensor x, Tensor(a!) out, Tensor? scale, Tensor? shift, bool rms, bool silu, "
      "int top, int bottom, int left, int right) -> ()");
  m.def("conv_few_outputs(Tensor x, Tensor weight, Tensor(a!) out) -> ()");
  // One overload a number of boxes: a list of tensors, or optional ones, take the host longer.
  m.def("copy_boxes.one(Tensor s0, Tensor(a!) t0) -> ()");
  m.def("copy_boxes.two(Tensor s0, Tensor s1, Tensor(a!) t0, Tensor(b!) t1) -> ()");
  m.def(
      "copy_boxes.three(Tensor s0, Tensor s1, Tensor s2, Tensor(a!) t0, Tensor(b!) t1, "
      "Tensor(c!) t2) -> ()");
  m.def(
      "copy_boxes.four(Tensor s0, Tensor s1, Tensor s2, Tensor s3, Tensor(a!) t0, Tensor(b!) t1, "
      "Tensor(c!) t2, Tensor(d!) t3) -> ()");
  m.def("softmax_rows(Tensor scores, Tensor(a!) out) -> ()");
  m.def("merge(Tensor y, Tensor? bias, Tensor? residual, Tensor(a!) out) -> ()");
  m.def(
      "merge_norm_pad(Tensor y, Tensor? bias, Tensor? residual, Tensor(a!) window, int fresh, "
      "Tensor(b!) out, Tensor? scale, Tensor? shift, bool rms, bool silu, "
      "int top, int bottom, int left, int right) -> ()");
}
