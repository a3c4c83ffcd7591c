#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/cuda/copy_boxes_layout.hpp"

namespace truetile {
namespace {

/// A box in memory that is larger, all of it in elements of two bytes.
struct Case {
  std::vector<std::uint16_t> from, to;
  BoxCopy box;
};

constexpr std::uint16_t kUntouched = 0xFFFF;

Case box_of(std::int64_t frames, std::int64_t rows, std::int64_t columns, std::int64_t channels,
            const PixelStrides& from, const PixelStrides& to, std::int64_t offset = 0) {
  Case made;
  const auto size = [&](const PixelStrides& s) {
    return static_cast<std::size_t>(offset + frames * s.t + rows * s.h + columns * s.w + channels);
  };
  made.from.resize(size(from));
  for (std::size_t i = 0; i < made.from.size(); ++i) {
    made.from[i] = static_cast<std::uint16_t>(i % 65521);
  }
  made.to.assign(size(to), kUntouched);
  made.box = {.source = made.from.data() + offset,
              .target = made.to.data() + offset,
              .source_strides = from,
              .target_strides = to,
              .frames = frames,
              .rows = rows,
              .columns = columns,
              .channels = channels};
  return made;
}

/// The target as it must be.
std::vector<std::uint16_t> wanted(const Case& made) {
  std::vector<std::uint16_t> out(made.to.size(), kUntouched);
  const BoxCopy& box = made.box;
  const auto first = static_cast<const std::uint16_t*>(box.target) - made.to.data();
  for (std::int64_t t = 0; t < box.frames; ++t) {
    for (std::int64_t h = 0; h < box.rows; ++h) {
      for (std::int64_t w = 0; w < box.columns; ++w) {
        for (std::int64_t c = 0; c < box.channels; ++c) {
          out.at(static_cast<std::size_t>(first + box.target_strides.at(t, h, w) + c)) =
              static_cast<const std::uint16_t*>(box.source)[box.source_strides.at(t, h, w) + c];
        }
      }
    }
  }
  return out;
}

/// With and without gaps, with frames and rows of views, off by an element, of one pixel.
std::vector<Case> cases() {
  std::vector<Case> made;
  made.push_back(box_of(2, 3, 50, 24, {7200, 1200, 24}, {9600, 1200, 24}));  // gapless rows
  made.push_back(box_of(3, 2, 37, 16, {4800, 1600, 32}, {1600, 640, 16}));   // every other pixel
  made.push_back(box_of(2, 2, 33, 5, {400, 200, 6}, {330, 165, 5}, 1));
  made.push_back(box_of(1, 1, 1, 8, {3, 5, 7}, {11, 1, 9}));  // strides that are never taken
  return made;
}

CopyBoxesArgs args_of(const std::vector<Case>& made) {
  CopyBoxesArgs args;
  args.element_size = 2;
  for (const Case& one : made) args.boxes.at(static_cast<std::size_t>(args.count++)) = one.box;
  return args;
}

TEST(CopyBoxes, CopiesAnyRangesOfRowsOnTheCpu) {
  std::mt19937 random(7);
  for (int run = 0; run < 20; ++run) {
    const std::vector<Case> made = cases();
    const CopyBoxesArgs args = args_of(made);
    std::int64_t rows = 0;
    for (const Case& one : made) rows += one.box.lines();
    for (std::int64_t begin = 0; begin < rows;) {
      const std::int64_t end = std::min<std::int64_t>(rows, begin + 1 + random() % 9);
      copy_box_rows_cpu(args, begin, end);
      begin = end;
    }
    for (const Case& one : made) EXPECT_EQ(one.to, wanted(one));
  }
}

/// What the kernel does, item by item. No element of a source looks untouched, so that a unit that
/// is copied twice shows.
void copy_items(const cuda::CopyBoxesLayout& layout) {
  for (std::int64_t i = 0; i < layout.items; ++i) {
    const cuda::BoxItem item = cuda::box_item(layout, i);
    const cuda::BoxUnits& box = layout.boxes.at(item.box);
    ASSERT_LT(item.begin, item.end);
    ASSERT_LE(item.end, box.line);
    const auto size = static_cast<std::size_t>(box.vectors ? 16 : 2);
    const auto place = [&](const PixelStrides& s, std::int64_t x) {
      return static_cast<std::size_t>(s.at(item.t, item.h, 0) + box.at(x, s.w)) * size;
    };
    for (std::int64_t x = item.begin; x < item.end; ++x) {
      char* to = static_cast<char*>(box.target) + place(box.target_strides, x);
      for (std::size_t k = 0; k < size; ++k) ASSERT_EQ(to[k], '\xFF');
      std::memcpy(to, static_cast<const char*>(box.source) + place(box.source_strides, x), size);
    }
  }
}

TEST(CopyBoxesLayout, CoversEachBoxOnce) {
  for (std::size_t count = 0; count <= 4; ++count) {
    std::vector<Case> made = cases();
    made.resize(count);
    const CopyBoxesArgs args = args_of(made);
    const cuda::CopyBoxesLayout layout = cuda::copy_boxes_layout(args);
    EXPECT_EQ(layout.items == 0, count == 0);
    copy_items(layout);
    for (const Case& one : made) EXPECT_EQ(one.to, wanted(one));
  }
}

TEST(CopyBoxesLayout, TakesVectorsWhereEverythingAllowsThem) {
  alignas(16) std::array<std::uint16_t, 16> data{};
  const auto units = [&](BoxCopy box, std::ptrdiff_t from, std::ptrdiff_t to) {
    box.source = data.data() + from;
    box.target = data.data() + to;
    return cuda::box_units(box, 2);
  };
  BoxCopy gapless;
  gapless.frames = gapless.rows = 2;
  gapless.columns = 834;
  gapless.channels = 100;
  gapless.source_strides = gapless.target_strides = {834 * 100 * 2, 834 * 100, 100};
  const cuda::BoxUnits whole = units(gapless, 0, 8);  // rows are, although pixels are not
  EXPECT_TRUE(whole.vectors);
  EXPECT_EQ(whole.line, 834 * 100 / 8);
  EXPECT_EQ(whole.run, whole.line);
  EXPECT_EQ(whole.source_strides.h, whole.line);
  EXPECT_FALSE(units(gapless, 1, 0).vectors);
  EXPECT_FALSE(units(gapless, 0, 4).vectors);
  BoxCopy other = gapless;
  other.target_strides.h += 4;
  EXPECT_FALSE(units(other, 0, 0).vectors);
  other.rows = 1;  // the stride is never taken
  EXPECT_TRUE(units(other, 0, 0).vectors);
  other = gapless;
  other.source_strides.w = 104;
  EXPECT_FALSE(units(other, 0, 0).vectors);
  other.channels = 96;
  const cuda::BoxUnits pixels = units(other, 0, 0);
  EXPECT_FALSE(pixels.vectors);  // the target's pixels begin at multiples of 200 bytes
  other.target_strides.w = 96;
  const cuda::BoxUnits gaps = units(other, 0, 0);
  EXPECT_TRUE(gaps.vectors);
  EXPECT_EQ(gaps.run, 12);
  EXPECT_EQ(gaps.at(25, gaps.source_strides.w), 2 * 13 + 1);
}

TEST(CopyBoxesLayout, FillsTheDeviceAndNumbersStay64Bit) {
  alignas(16) std::array<char, 16> data{};
  CopyBoxesArgs args;
  args.element_size = 2;
  args.count = 2;
  BoxCopy box;
  box.source = box.target = data.data();
  box.frames = 18;
  box.rows = 2;
  box.columns = 834;
  box.channels = 96;
  box.source_strides = box.target_strides = {834 * 96 * 100, 834 * 96, 96};
  args.boxes[0] = args.boxes[1] = box;
  const cuda::CopyBoxesLayout small = cuda::copy_boxes_layout(args);
  EXPECT_EQ(small.segment, cuda::kCopyStep);  // one step a warp, so that there are many
  EXPECT_EQ(small.items, 2 * 36 * ((834 * 12 + 127) / 128));
  args.boxes[1].rows = std::int64_t{1} << 35;
  const cuda::CopyBoxesLayout huge = cuda::copy_boxes_layout(args);
  EXPECT_EQ(huge.segment, 16 * cuda::kCopyStep);
  EXPECT_EQ(huge.items, (36 + (std::int64_t{18} << 35)) * 5);
  const cuda::BoxItem last = cuda::box_item(huge, huge.items - 1);
  EXPECT_EQ(last.box, 1U);
  EXPECT_EQ(last.t, 17);
  EXPECT_EQ(last.h, (std::int64_t{1} << 35) - 1);
  EXPECT_EQ(last.end, 834 * 12);
  EXPECT_EQ(cuda::warp_blocks(huge.items), 0x7FFFFFFFU);
}

}  // namespace
}  // namespace truetile
