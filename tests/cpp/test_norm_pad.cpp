#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/norm_pad.hpp"

namespace truetile {
namespace {

TEST(NormPad, NormsWithinAStridedFrame) {
  const std::vector<float> x = {3, 4, -1, 0};  // two pixels of two channels
  std::vector<float> out(std::size_t{3} * 4 * 3, 9.0F);
  const std::vector<float> scale = {1, 2};
  NormPadArgs args;
  args.x = x.data();
  args.out = out.data();
  args.frames = 1;
  args.channels = 2;
  args.padded_rows = 3;
  args.padded_columns = 4;
  args.top = args.bottom = 1;
  args.left = 1;
  args.right = 1;
  args.rms = true;
  args.scale = scale.data();
  args.x_strides = {4, 4, 2};
  args.out_strides = {36, 12, 3};
  norm_pad_rows_cpu(args, 0, args.padded_rows);
  const float root = std::sqrt(2.0F);
  const std::vector<float> zeros = {0, 0, 9, 0, 0, 9, 0, 0, 9, 0, 0, 9};
  const std::vector<float> wanted = {0, 0, 9, 0.6F * root, 1.6F * root, 9, -root, 0, 9, 0, 0, 9};
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_EQ(out[i], zeros[i]) << i;
    EXPECT_NEAR(out[12 + i], wanted[i], 1e-6F) << i;
    EXPECT_EQ(out[24 + i], zeros[i]) << i;
  }
}

}  // namespace
}  // namespace truetile
