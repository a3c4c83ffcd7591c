#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/norm_pad.hpp"

namespace truetile {
namespace {

TEST(NormPadRow, WritesEachRowOnceFromItsSource) {
  for (std::int64_t up = 1; up <= 3; ++up) {
    for (std::int64_t skip = 0; skip < 8; ++skip) {
      for (std::int64_t rows = 0; rows < 9; ++rows) {
        NormPadArgs args;
        args.up = up;
        args.skip = skip;
        args.top = 2;
        args.bottom = 1;
        args.padded_rows = rows + 3;
        std::vector<int> written(static_cast<std::size_t>(args.padded_rows));
        for (std::int64_t i = 0; i < args.work_rows(); ++i) {
          const NormPadRow row = norm_pad_row(args, i);
          EXPECT_LT(row.begin, row.end);
          for (std::int64_t y = row.begin; y < row.end; ++y) {
            ++written.at(static_cast<std::size_t>(y));
            const bool inside = y >= args.top && y < args.top + rows;
            EXPECT_EQ(row.border, !inside);
            if (inside) {
              EXPECT_EQ(row.source, (skip + y - args.top) / up);
            }
          }
        }
        for (const int count : written) EXPECT_EQ(count, 1);
      }
    }
  }
}

TEST(NormPad, UpsamplesWithinAStridedFrame) {
  const std::vector<float> x = {3, 4, -1, 0};  // two pixels of two channels
  std::vector<float> out(std::size_t{2} * 6 * 3, 9.0F);
  const std::vector<float> scale = {1, 2};
  NormPadArgs args;
  args.x = x.data();
  args.out = out.data();
  args.frames = 1;
  args.channels = 2;
  args.padded_rows = 2;
  args.padded_columns = 6;
  args.left = 1;
  args.right = 1;
  args.up = 2;
  args.rms = true;
  args.scale = scale.data();
  args.x_strides = {4, 4, 2};
  args.out_strides = {36, 18, 3};
  norm_pad_rows_cpu(args, 0, args.work_rows());
  const float root = std::sqrt(2.0F);
  const float first = 0.6F * root;
  const float second = 1.6F * root;
  for (const std::size_t row : {std::size_t{0}, std::size_t{18}}) {
    const std::vector<float> wanted = {0,     0, 9, first, second, 9, first, second, 9,
                                       -root, 0, 9, -root, 0,      9, 0,     0,      9};
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      EXPECT_NEAR(out[row + i], wanted[i], 1e-6F) << i;
    }
  }
}

}  // namespace
}  // namespace truetile
