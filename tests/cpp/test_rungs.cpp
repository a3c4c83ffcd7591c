#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "core/error.hpp"
#include "core/rungs.hpp"
#include "random.hpp"

namespace truetile {
namespace {

using testing::Random;

constexpr Scales kVideo{AxisScale{4, 1}, AxisScale{8, 8}, AxisScale{8, 8}};
constexpr Scales kPlain{AxisScale{4, 4}, AxisScale{8, 8}, AxisScale{8, 8}};
constexpr Scales kImage{AxisScale{1, 1}, AxisScale{8, 8}, AxisScale{8, 8}};

std::vector<std::string> names(const std::vector<Rung>& rungs) {
  std::vector<std::string> list;
  for (const Rung& rung : rungs) list.push_back(rung.describe());
  return list;
}

std::string message_of(const auto& call) {
  try {
    call();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "nothing thrown";
}

TEST(Rungs, OfACarriedClip) {
  const std::vector<Rung> rungs =
      make_rungs({21, 90, 160}, kVideo, {.tile = 64, .overlap = 8, .carried = true});
  // 4 frames and 1 frame are both one latent: one rung.
  EXPECT_EQ(names(rungs),
            (std::vector<std::string>{"whole", "16 frames", "4 frames", "1 frame, tile 64",
                                      "1 frame, tile 32", "1 frame, tile 16", "1 frame, tile 8"}));
  EXPECT_EQ(rungs[1], (Rung{.frames = 16, .tile = 0, .chunk = 4}));
  EXPECT_EQ(rungs[2], (Rung{.frames = 4, .tile = 0, .chunk = 1}));
  EXPECT_EQ(rungs[3], (Rung{.frames = 1, .tile = 64, .chunk = 1, .overlap = 8}));
  EXPECT_EQ(rungs[6], (Rung{.frames = 1, .tile = 8, .chunk = 1, .overlap = 4}));
}

TEST(Rungs, OfIndependentCausalChunksShareALatent) {
  const std::vector<Rung> rungs =
      make_rungs({21, 90, 160}, kVideo, {.tile = 64, .overlap = 8, .overlap_frames = 8});
  EXPECT_EQ(names(rungs), (std::vector<std::string>{"whole", "16 frames", "4 frames",
                                                    "16 frames, tile 64", "16 frames, tile 32",
                                                    "16 frames, tile 16", "16 frames, tile 8"}));
  EXPECT_EQ(rungs[1], (Rung{.frames = 16, .tile = 0, .chunk = 4, .chunk_overlap = 2}));
  EXPECT_EQ(rungs[2], (Rung{.frames = 4, .tile = 0, .chunk = 2, .chunk_overlap = 1}));
}

TEST(Rungs, OfIndependentPlainChunks) {
  const std::vector<Rung> rungs = make_rungs({21, 90, 160}, kPlain, {});
  EXPECT_EQ(rungs[2], (Rung{.frames = 4, .tile = 0, .chunk = 1}));
}

TEST(Rungs, OfAnImage) {
  EXPECT_EQ(names(make_rungs({1, 128, 128}, kImage, {})),
            (std::vector<std::string>{"whole", "tile 64", "tile 32", "tile 16", "tile 8"}));
  EXPECT_EQ(names(make_rungs({1, 40, 40}, kImage, {})),
            (std::vector<std::string>{"whole", "tile 32", "tile 16", "tile 8"}));
  EXPECT_EQ(names(make_rungs({1, 1, 1}, kVideo, {})), std::vector<std::string>{"whole"});
}

TEST(Rungs, FramesLimitTheFirstChunk) {
  EXPECT_EQ(
      names(make_rungs({41, 90, 160}, kVideo,
                       {.frames = 64, .overlap_frames = 8, .start_tiled = true})),
      (std::vector<std::string>{"64 frames, tile 64", "16 frames, tile 64", "4 frames, tile 64",
                                "16 frames, tile 32", "16 frames, tile 16", "16 frames, tile 8"}));
  EXPECT_EQ(names(make_rungs({41, 8, 8}, kVideo, {.frames = 5, .overlap_frames = 4})),
            (std::vector<std::string>{"5 frames"}));
}

TEST(Rungs, ARungThatIsNotSmallerIsLeftOut) {
  // 64 x 56 latents of 4 are more than 60 x 104 of 2.
  EXPECT_EQ(names(make_rungs({21, 60, 104}, kVideo, {.min_tile = 32})),
            (std::vector<std::string>{"whole", "16 frames", "4 frames", "16 frames, tile 32"}));
}

TEST(Rungs, CarriedChunksKeepTheirMultiple) {
  const std::vector<Rung> rungs =
      make_rungs({13, 60, 90}, kVideo, {.carried = true, .chunk_multiple = 2});
  EXPECT_EQ(rungs[1].chunk, 4);
  EXPECT_EQ(rungs[2].chunk, 2);
  EXPECT_EQ(rungs[3].chunk, 2);
}

TEST(Rungs, ShrinkAndFitTheGridsForRandomPlans) {
  Random random(4);
  for (int i = 0; i < 5000; ++i) {
    LadderOptions options;
    options.tile = random.in(1, 70);
    options.overlap = random.in(0, options.tile - 1);
    options.min_tile = random.in(1, options.tile);
    options.frames = random.one_in(2) ? 0 : random.in(1, 80);
    options.overlap_frames = options.frames > 0 ? random.in(0, options.frames - 1) : 0;
    options.carried = random.one_in(2);
    options.chunk_multiple = random.in(1, 3);
    options.encode = random.one_in(2);
    options.start_tiled = random.one_in(3);
    options.stretch = random.one_in(3) ? random.in(1000, 2000) : 1000;
    const Triple extent{random.in(1, 60), random.in(1, 150), random.in(1, 150)};
    const std::int64_t factor = random.in(1, 8);
    const Scales scales{AxisScale{factor, random.in(1, factor)}, AxisScale{8, 8}, AxisScale{8, 8}};
    const std::vector<Rung> rungs = make_rungs(extent, scales, options);
    std::int64_t before = std::numeric_limits<std::int64_t>::max();
    for (const Rung& rung : rungs) {
      const Grids grids = axis_grids(whole_box(extent), rung, scales, options);
      std::int64_t largest = 1;
      for (const auto& grid : grids) {
        std::int64_t longest = 0;
        for (const AxisTile& tile : grid) longest = std::max(longest, tile.latent.length());
        largest *= longest;
      }
      ASSERT_EQ(largest, call_volume(whole_box(extent), rung, options));
      ASSERT_LT(largest, before);
      before = largest;
    }
  }
}

TEST(Cost, OfACallAndItsBuffers) {
  const CostModel cost{.fixed_bytes = 1000,
                       .bytes_per_pixel = 2.5,
                       .live_frames = 4,
                       .out_channels = 3,
                       .out_elem_bytes = 2};
  EXPECT_EQ(call_bytes(cost, {9, 10, 10}, {9, 10, 10}), 1000 + 4 * 100 * 5 / 2 + 900 * 3 * 2);
  EXPECT_EQ(call_bytes({.bytes_per_pixel = 0.3}, {1, 1, 1}, {1, 1, 1}), 1 + 12);
  // Two tiles of 56 with a zone of 64 pixels between them on x: 832 x 480, one frame.
  const LadderOptions options{.tile = 64, .overlap = 8};
  const Rung rung{.frames = 0, .tile = 64, .chunk = 0, .overlap = 8};
  const std::int64_t call = 3 * 4 * 480 * 448;
  const std::int64_t line = 3 * 4 * 480 * 64;
  EXPECT_EQ(rung_bytes(rung, {1, 60, 104}, kImage, options, {}), call + line);
}

TEST(Cost, OfEncodeCountsPixelsReadAndLatentsMade) {
  const LadderOptions options{.carried = true, .encode = true};
  const CostModel cost{.bytes_per_pixel = 1.0, .out_channels = 16, .out_elem_bytes = 4};
  EXPECT_EQ(rung_bytes({}, {3, 10, 10}, kVideo, options, cost), 9 * 80 * 80 + 300 * 64);
}

TEST(Cost, SaturatesInsteadOfOverflowing) {
  const Scales one{AxisScale{}, AxisScale{}, AxisScale{}};
  const CostModel cost{.fixed_bytes = kMaxBytes,
                       .bytes_per_pixel = 1e300,
                       .out_channels = 1024,
                       .out_elem_bytes = 8};
  EXPECT_EQ(rung_bytes({}, {1, 1 << 24, 1 << 24}, one, {}, cost), 3 * kMaxBytes);
}

TEST(Cost, WritesBytesForPeople) {
  EXPECT_EQ(format_bytes(0), "0.00 MiB");
  EXPECT_EQ(format_bytes((std::int64_t{1} << 30) - 1), "1024.00 MiB");
  EXPECT_EQ(format_bytes(std::int64_t{3} << 29), "1.50 GiB");
}

TEST(ChooseRung, TakesTheFirstThatFits) {
  const CostModel cost{.bytes_per_pixel = 1000.0};
  const LadderOptions options{.tile = 16, .overlap = 4};
  const Triple extent{5, 30, 52};
  const std::vector<Rung> rungs = make_rungs(extent, kVideo, options);
  for (std::size_t i = 0; i < rungs.size(); ++i) {
    const std::int64_t need = rung_bytes(rungs[i], extent, kVideo, options, cost);
    const auto index = static_cast<std::int64_t>(i);
    EXPECT_EQ(choose_rung(extent, kVideo, options, cost, need), index);
    if (i + 1 < rungs.size()) {
      EXPECT_EQ(choose_rung(extent, kVideo, options, cost, need - 1), index + 1);
    }
  }
}

TEST(ChooseRung, ErrorListsWhatEachRungNeeds) {
  EXPECT_EQ(message_of([] {
              (void)choose_rung({1, 30, 52}, kImage, {.tile = 16, .overlap = 4, .min_tile = 16},
                                {.bytes_per_pixel = 1000.0}, 5);
            }),
            "budget=5: must be at least 13711360 bytes; the rungs need: whole: 96.36 MiB; "
            "tile 16: 13.08 MiB");
  EXPECT_THROW((void)choose_rung({1, 30, 52}, kImage, {}, {}, 0), BudgetError);
}

TEST(CheckPlan, ErrorsNameArgumentValueAndRange) {
  const auto plan = [](Triple extent, Scales scales, LadderOptions options, CostModel cost) {
    return message_of([&] { check_plan(extent, scales, options, cost); });
  };
  EXPECT_EQ(plan({0, 1, 1}, kVideo, {}, {}), "extent.t=0: must be in [1, 16777216]");
  EXPECT_EQ(plan({1, 1, -3}, kVideo, {}, {}), "extent.x=-3: must be in [1, 16777216]");
  EXPECT_EQ(plan({1, 1, 1}, {AxisScale{}, AxisScale{8, 1}, AxisScale{}}, {}, {}),
            "first.y=1: must be 8 (the factor of y)");
  EXPECT_EQ(plan({1 << 20, 1 << 20, 1 << 20}, kVideo, {}, {}),
            "extent=(1048576, 1048576, 1048576): must be at most 281474976710656 pixel-frames");
  EXPECT_EQ(plan({1, 1, 1}, kVideo, {.tile = 64, .overlap = 64}, {}),
            "overlap=64: must be in [0, 63] (tile=64)");
  EXPECT_EQ(plan({1, 1, 1}, kVideo, {.tile = 4, .overlap = 0}, {}),
            "min_tile=8: must be in [1, 4] (tile=4)");
  EXPECT_EQ(plan({1, 1, 1}, kVideo, {.frames = 8, .overlap_frames = 8}, {}),
            "overlap_frames=8: must be in [0, 7] (frames=8)");
  EXPECT_EQ(plan({1, 1, 1}, kVideo, {.frames = -1}, {}), "frames=-1: must be in [0, 16777216]");
  EXPECT_EQ(plan({1, 1, 1}, kVideo, {.chunk_multiple = 0}, {}),
            "chunk_multiple=0: must be in [1, 16777216]");
  EXPECT_EQ(plan({1, 1, 1}, kVideo, {}, {.bytes_per_pixel = -0.5}),
            "bytes_per_pixel=-0.5: must be finite and at least 0");
  EXPECT_EQ(
      plan({1, 1, 1}, kVideo, {}, {.bytes_per_pixel = std::numeric_limits<double>::quiet_NaN()}),
      "bytes_per_pixel=nan: must be finite and at least 0");
  EXPECT_EQ(plan({1, 1, 1}, kVideo, {}, {.out_channels = 0}),
            "out_channels=0: must be in [1, 1024]");
  EXPECT_EQ(plan({1, 1, 1}, kVideo, {}, {.out_elem_bytes = 9}),
            "out_elem_bytes=9: must be in [1, 8]");
}

}  // namespace
}  // namespace truetile
