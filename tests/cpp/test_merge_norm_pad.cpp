#include <gtest/gtest.h>

#include <vector>

#include "kernels/merge_norm_pad.hpp"

namespace truetile {
namespace {

TEST(MergeNormPadRow, TakesEachRowOfOutAndOfTheWindowOnce) {
  for (std::int64_t rows = 0; rows < 5; ++rows) {
    for (std::int64_t interior = 0; interior <= rows; ++interior) {
      MergeNormPadArgs args;
      args.rows = rows;
      args.norm.top = 2;
      args.norm.bottom = 1;
      args.norm.padded_rows = interior + 3;
      std::vector<int> out(static_cast<std::size_t>(interior + 3));
      std::vector<int> window(static_cast<std::size_t>(rows));
      for (std::int64_t i = 0; i < args.work_rows(); ++i) {
        const MergeNormPadRow row = merge_norm_pad_row(args, i);
        if (row.out != MergeNormPadRow::kNone) ++out.at(static_cast<std::size_t>(row.out));
        if (row.window != MergeNormPadRow::kNone) ++window.at(static_cast<std::size_t>(row.window));
        if (row.out != MergeNormPadRow::kNone && row.window != MergeNormPadRow::kNone) {
          EXPECT_EQ(row.out, row.window + args.norm.top);
        }
      }
      for (const int count : out) EXPECT_EQ(count, 1);
      for (const int count : window) EXPECT_EQ(count, 1);
    }
  }
}

TEST(MergeNormPad, KeepsOldRowsStoresNewOnesAndNormsBoth) {
  std::vector<float> window = {1, -2, -9, -9, -9, -9};  // three rows of two pixels, one of them old
  const std::vector<float> y = {3, 4, 5, 6};
  const std::vector<float> bias = {0.5F};
  const std::vector<float> scale = {2};
  std::vector<float> out(3, 9.0F);  // one row of zeros, two of the first pixel
  MergeNormPadArgs args;
  args.merge.y = y.data();
  args.merge.bias = bias.data();
  args.merge.out = window.data() + 2;
  args.merge.y_strides = args.merge.out_strides = {4, 2, 1};
  args.merge.rows = args.merge.columns = 2;
  args.norm.x = window.data();
  args.norm.x_strides = {6, 2, 1};
  args.norm.out = out.data();
  args.norm.out_strides = {3, 1, 1};
  args.norm.scale = scale.data();
  args.norm.padded_rows = 3;
  args.norm.padded_columns = args.norm.top = 1;
  args.merge.frames = args.merge.channels = args.norm.frames = args.norm.channels = 1;
  args.fresh = 1;
  args.rows = 3;
  args.columns = 2;
  merge_norm_pad_rows_cpu(args, 0, args.work_rows());
  EXPECT_EQ(window, (std::vector<float>{1, -2, 3.5F, 4.5F, 5.5F, 6.5F}));
  EXPECT_EQ(out, (std::vector<float>{0, 2, 7}));
}

}  // namespace
}  // namespace truetile
