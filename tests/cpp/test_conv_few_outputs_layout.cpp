#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <limits>
#include <set>
#include <vector>

#include "conv_few_outputs_args.hpp"
#include "kernels/cuda/conv_few_outputs_layout.hpp"
#include "random.hpp"
#include "tensor_core.hpp"

// The CUDA kernel on the host: stages, what lanes load of them, and whose sums they make.

namespace truetile::cuda::conv_few {
namespace {

using testing::load_matrices;
using testing::Matrices;
using testing::multiply_add;
using testing::sized_args;
using testing::Sums;

constexpr int kNothing = std::numeric_limits<int>::min() / 4;  // spoils each sum that reads it

TEST(ConvFewOutputsLayout, EveryOutputIsMadeOnce) {
  testing::Random random(1);
  for (int round = 0; round < 200; ++round) {
    const ConvFewOutputsArgs args =
        sized_args(random.in(1, 20), random.in(1, 30), random.in(1, 300));
    const Layout layout = layout_of(args, random.in(1, 300));
    std::vector<int> made(static_cast<std::size_t>(args.frames * args.rows * args.columns));
    for (std::int64_t block = 0; block < layout.blocks(); ++block) {
      const Box box = layout.box(args, block);
      ASSERT_TRUE(box.frames > 0 && box.rows > 0 && box.columns > 0);
      ASSERT_TRUE(box.rows <= kRows && box.columns <= kColumns);
      for (std::int64_t i = 0; i < std::int64_t{box.frames} * box.rows * box.columns; ++i) {
        const std::int64_t t = box.frame + i / box.columns / box.rows;
        const std::int64_t h = box.row + i / box.columns % box.rows;
        ++made.at(static_cast<std::size_t>((t * args.rows + h) * args.columns + box.column +
                                           i % box.columns));
      }
    }
    for (const int times : made) ASSERT_EQ(times, 1);
  }
}

TEST(ConvFewOutputsLayout, NothingIsNoBlock) {
  for (const auto& args : {sized_args(0, 4, 4), sized_args(4, 0, 4), sized_args(4, 4, 0)}) {
    EXPECT_EQ(layout_of(args, 264).blocks(), 0);
  }
}

TEST(ConvFewOutputsLayout, FewBlocksGiveUpLongRunsOfFrames) {
  EXPECT_EQ(layout_of(sized_args(12, 32, 832), 264).frames, 6);
  EXPECT_EQ(layout_of(sized_args(12, 32, 832), 264).blocks(), 224);
  EXPECT_EQ(layout_of(sized_args(12, 720, 1280), 264).frames, 12);
  EXPECT_EQ(layout_of(sized_args(12, 4, 4), 264).frames, 1);
}

TEST(ConvFewOutputsLayout, AMatrixIsLoadedFromAllBanks) {
  for (int row = 0; row < kPixels + 9 * kFragment; row += 8) {
    for (int part = 0; part < kParts; ++part) {
      std::set<int> banks;
      for (int i = 0; i < 8; ++i) banks.insert(part_at(row + i, part) % 128 / 16);
      EXPECT_EQ(banks.size(), 8U);
    }
  }
}

TEST(ConvFewOutputsLayout, PartsDoNotOverlap) {
  std::set<int> places;
  for (int row = 0; row < kPixels + 9 * kFragment; ++row) {
    for (int part = 0; part < kParts; ++part) {
      EXPECT_EQ(part_at(row, part ^ 2), part_at(row, part) ^ 32);
      places.insert(part_at(row, part));
    }
  }
  EXPECT_EQ(places.size() * 16, static_cast<std::size_t>(stage_bytes(3)));
  EXPECT_EQ(*places.rbegin(), stage_bytes(3) - 16);
}

/// One stage as elements of shared memory.
struct Stage {
  std::vector<int> elements =
      std::vector<int>(static_cast<std::size_t>(stage_bytes(3) / 2), kNothing);

  void put(int row, int channel, int value) {
    elements.at(static_cast<std::size_t>(part_at(row, channel / kPart) / 2 + channel % kPart)) =
        value;
  }
};

/// A whole input and weight of small integers, and what the kernel's threads make of them.
class Kernel {
 public:
  explicit Kernel(const ConvFewOutputsArgs& args) : args_(args) {
    testing::Random random(9);
    const auto values = [&](std::vector<int>& to, std::int64_t size) {
      to.resize(static_cast<std::size_t>(size));
      for (int& value : to) value = static_cast<int>(random.in(-4, 4));
    };
    values(x_,
           (args.frames + args.taps_t - 1) * (args.rows + 2) * (args.columns + 2) * args.channels);
    values(weight_, args.outputs * args.taps_t * 9 * args.channels);
  }

  [[nodiscard]] int x(std::int64_t t, std::int64_t h, std::int64_t w, std::int64_t c) const {
    return x_.at(static_cast<std::size_t>(
        ((t * (args_.rows + 2) + h) * (args_.columns + 2) + w) * args_.channels + c));
  }
  [[nodiscard]] int weight(std::int64_t output, std::int64_t tap, std::int64_t c) const {
    return weight_.at(
        static_cast<std::size_t>((output * args_.taps_t * 9 + tap) * args_.channels + c));
  }
  [[nodiscard]] double wanted(std::int64_t t, std::int64_t h, std::int64_t w,
                              std::int64_t o) const {
    double sum = 0;
    for (std::int64_t tap = 0; tap < args_.taps_t * 9; ++tap) {
      for (std::int64_t c = 0; c < args_.channels; ++c) {
        sum += x(t + tap / 9, h + tap / 3 % 3, w + tap % 3, c) * weight(o, tap, c);
      }
    }
    return sum;
  }

  /// As `fill` of the kernel.
  [[nodiscard]] Stage stage(const Box& box, const Slice& slice) const {
    Stage stage;
    for (int c = 0; c < kSlice && slice.channel + c < args_.channels; ++c) {
      for (int pixel = 0; pixel < kPixels; ++pixel) {
        const int row = pixel / kReadColumns;
        const int column = pixel % kReadColumns;
        if (row >= box.rows + 2 || column >= box.columns + 2) continue;
        stage.put(
            pixel, c,
            x(box.frame + slice.frame, box.row + row, box.column + column, slice.channel + c));
      }
      for (std::int64_t output = 0; output < args_.outputs; ++output) {
        for (int tap = 0; tap < args_.taps_t * 9; ++tap) {
          stage.put(weight_row(tap, static_cast<int>(output)), c,
                    weight(output, tap, slice.channel + c));
        }
      }
    }
    return stage;
  }

  /// As `add_stage` of the kernel, for one tap in time: a warp's sums by fragment and side.
  void add_stage(const Stage& stage, int warp, int tap, bool whole,
                 std::array<std::array<Sums, 2>, kFragments>& sums) const {
    for (int row = 0; row < 3; ++row) {
      for (int half = 0; half < (whole ? 2 : 1); ++half) {
        const Matrices b = load_matrices(stage.elements, [&](int lane) {
          return (kPixels + (tap * 3 + row) * kFragment) * kRowBytes +
                 (weight_part(lane) ^ (half * 32));
        });
        for (int i = 0; i < kFragments; ++i) {
          const int first = warp * kWarpPixels + row * kReadColumns + i * kFragment;
          const Matrices a = load_matrices(stage.elements, [&](int lane) {
            return first * kRowBytes + (pixel_part(lane) ^ (half * 32));
          });
          auto& both = sums.at(static_cast<std::size_t>(i));
          multiply_add(both.at(0), a, b, 0);
          multiply_add(both.at(1), a, b, 2);
        }
      }
    }
  }

  /// One frame of a block's output, by pixel of its rows and columns in memory.
  [[nodiscard]] std::vector<double> frame(const Box& box, int frame) const {
    std::vector<double> shared(static_cast<std::size_t>(kSumBytes / 4), kNothing);
    std::array<std::array<std::array<Sums, 2>, kFragments>, kWarps> sums{};
    for (Slice slice; slice.frame < box.frames + args_.taps_t - 1; slice.next(args_.channels)) {
      const auto tap = static_cast<int>(slice.frame - frame);
      if (tap < 0 || tap >= args_.taps_t) continue;
      const Stage filled = stage(box, slice);
      for (std::size_t warp = 0; warp < kWarps; ++warp) {
        add_stage(filled, static_cast<int>(warp), tap, slice.channel + kSlice <= args_.channels,
                  sums.at(warp));
      }
    }
    for (int thread = 0; thread < kThreads; ++thread) {
      const int lane = thread % 32;
      const int first = thread / 32 * kWarpPixels + sum_pixel(lane);
      for (int i = 0; i < kFragments * 8; ++i) {
        const int column = i / 4 % 2 * 8 + sum_column(lane) + i % 2;
        if (column >= kSums) continue;
        const int pixel = first + i / 8 * kFragment + i % 4 / 2 * 8;
        shared.at(static_cast<std::size_t>(sum_at(pixel, column))) =
            sums.at(static_cast<std::size_t>(thread / 32))
                .at(static_cast<std::size_t>(i / 8))
                .at(static_cast<std::size_t>(i / 4 % 2))
                .at(static_cast<std::size_t>(lane))
                .at(static_cast<std::size_t>(i % 4));
      }
    }
    return shared;
  }

  void expect_convolution() const {
    const Layout layout = layout_of(args_, 1);
    for (std::int64_t block = 0; block < layout.blocks(); ++block) {
      const Box box = layout.box(args_, block);
      for (int t = 0; t < box.frames; ++t) {
        const std::vector<double> shared = frame(box, t);
        for (int i = 0; i < box.rows * box.columns * static_cast<int>(args_.outputs); ++i) {
          const int o = i % static_cast<int>(args_.outputs);
          const int column = i / static_cast<int>(args_.outputs) % box.columns;
          const int row = i / static_cast<int>(args_.outputs) / box.columns;
          double sum = 0;
          for (int tap = 0; tap < 3; ++tap) {
            sum += shared.at(static_cast<std::size_t>(sum_of(row * kReadColumns + column, tap, o)));
          }
          ASSERT_EQ(sum, wanted(box.frame + t, box.row + row, box.column + column, o));
        }
      }
    }
  }

 private:
  ConvFewOutputsArgs args_;
  std::vector<int> x_, weight_;
};

TEST(ConvFewOutputsLayout, TensorCoresMakeTheConvolution) {
  Kernel(sized_args(3, 5, 64, 48, 3, 3)).expect_convolution();
  Kernel(sized_args(1, 4, 62, 32, 4, 1)).expect_convolution();
  Kernel(sized_args(2, 1, 1, 16, 1, 3)).expect_convolution();
  Kernel(sized_args(1, 9, 130, 80, 2, 1)).expect_convolution();
}

}  // namespace
}  // namespace truetile::cuda::conv_few
