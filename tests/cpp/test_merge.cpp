#include <gtest/gtest.h>

#include <vector>

#include "kernels/merge.hpp"

namespace truetile {
namespace {

TEST(Merge, AddsInPlaceAndLeavesOtherColumnsAlone) {
  const std::vector<float> y = {1, 2, 3, 4};
  std::vector<float> out = {10, 20, -1, -1, 30, 40, -1, -1};  // every other pixel is ours
  const std::vector<float> bias = {0.5F, 0.25F};
  MergeArgs args;
  args.y = y.data();
  args.y_strides = {4, 4, 2};
  args.residual = out.data();
  args.out = out.data();
  args.residual_strides = args.out_strides = {8, 8, 4};
  args.bias = bias.data();
  args.frames = args.rows = 1;
  args.columns = args.channels = 2;
  merge_rows_cpu(args, 0, 1);
  EXPECT_EQ(out, (std::vector<float>{11.5F, 22.25F, -1, -1, 33.5F, 44.25F, -1, -1}));
}

TEST(Merge, RoundsOnce) {
  // In bfloat16 256 + 1 is 256, so that adding one by one would give 256.
  const std::vector<std::uint16_t> y = {0x4380};    // 256
  const std::vector<std::uint16_t> one = {0x3F80};  // 1
  std::vector<std::uint16_t> out(1);
  MergeArgs args;
  args.y = y.data();
  args.residual = args.bias = one.data();
  args.out = out.data();
  args.dtype = args.bias_dtype = DType::bfloat16;
  args.frames = args.rows = args.columns = args.channels = 1;
  merge_rows_cpu(args, 0, 1);
  EXPECT_EQ(out[0], 0x4381);  // 258
}

TEST(Merge, OfOneValueCopiesEveryBit) {
  const std::vector<std::uint16_t> y = {0x7FC1, 0xFF81, 0x8000, 0x0001};  // NaNs, -0, subnormal
  for (const DType dtype : {DType::bfloat16, DType::float16}) {
    std::vector<std::uint16_t> out(4);
    MergeArgs args;
    args.y = y.data();
    args.out = out.data();
    args.dtype = dtype;
    args.frames = args.rows = args.columns = 1;
    args.channels = 4;
    merge_rows_cpu(args, 0, 1);
    EXPECT_EQ(out, y);
  }
}

}  // namespace
}  // namespace truetile
