// What the ladder does in cases small enough to read.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/ladder.hpp"

namespace truetile {
namespace {

constexpr Scales kVideo{AxisScale{4, 1}, AxisScale{8, 8}, AxisScale{8, 8}};
constexpr Scales kImage{AxisScale{1, 1}, AxisScale{8, 8}, AxisScale{8, 8}};
const LadderOptions kCarried{.tile = 8, .overlap = 2, .min_tile = 4, .carried = true};

Step next(Ladder& ladder) {
  auto step = ladder.next();
  EXPECT_TRUE(step.has_value());
  return *step;
}

Step next_after_done(Ladder& ladder, int count) {
  Step step = next(ladder);
  for (int i = 0; i < count; ++i) {
    ladder.done(step);
    step = next(ladder);
  }
  return step;
}

std::string message_of(const auto& call) {
  try {
    call();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "nothing thrown";
}

TEST(Ladder, OneCallWhereAllFits) {
  Ladder ladder({5, 12, 12}, kVideo, kCarried, {});
  const Step step = next(ladder);
  EXPECT_EQ(step.latent, (Box{Span{0, 5}, Span{0, 12}, Span{0, 12}}));
  EXPECT_EQ(step.pixel, (Box{Span{0, 17}, Span{0, 96}, Span{0, 96}}));
  EXPECT_TRUE(step.first_in_time && step.starts_tile && step.last_in_tile);
  EXPECT_EQ(step.bytes, 17 * 96 * 96 * 3 * 4);
  ladder.done(step);
  EXPECT_FALSE(ladder.next().has_value());
  EXPECT_EQ(ladder.finished_pixels(), 17 * 96 * 96);
}

TEST(Ladder, FailureOfTheFirstCallStartsTheSameBoxAgain) {
  Ladder ladder({5, 12, 12}, kVideo, kCarried, {});
  ladder.out_of_memory(next(ladder));
  const Step step = next(ladder);
  EXPECT_EQ(step.depth, 0);
  EXPECT_EQ(step.rung, 1);
  EXPECT_EQ(step.levels[0].frame, 1);
  EXPECT_EQ(step.latent[0], (Span{0, 2}));
}

TEST(Ladder, FailureBeforeAnythingIsDoneEqualsAStartOnThatRung) {
  Ladder fallen({5, 12, 12}, kVideo, kCarried, {});
  for (int i = 0; i < 3; ++i) fallen.out_of_memory(next(fallen));
  Ladder started({5, 12, 12}, kVideo, kCarried, {}, 3);
  while (auto expected = started.next()) {
    const Step step = next(fallen);
    EXPECT_EQ(step.latent, expected->latent);
    EXPECT_EQ(step.axes(), expected->axes());
    EXPECT_EQ(step.depth, 0);
    started.done(*expected);
    fallen.done(step);
  }
  EXPECT_FALSE(fallen.next().has_value());
}

TEST(Ladder, AChildTakesOverTheRestOfTheClipAndItsCache) {
  Ladder ladder({9, 12, 12}, kVideo, kCarried, {}, 1);  // chunks [0,3) [3,6) [6,9)
  const Step failed = next_after_done(ladder, 1);
  EXPECT_EQ(failed.cache_depth, 0);
  EXPECT_FALSE(failed.inherits_cache);
  ladder.out_of_memory(failed);

  const Step step = next(ladder);
  EXPECT_EQ(step.depth, 1);
  EXPECT_EQ(step.latent[0], (Span{3, 4}));
  EXPECT_FALSE(step.first_in_time);
  EXPECT_TRUE(step.starts_tile && step.inherits_cache);
  EXPECT_EQ(step.cache_depth, 0);
  // Latent 3 gives frames 9..12 of the clip: 0..3 of the child's canvas.
  EXPECT_EQ(step.pixel[0], (Span{9, 13}));
  EXPECT_EQ(step.axes()[0].out, (Span{0, 4}));
  EXPECT_EQ(step.levels[0].axes[0], (AxisTile{{3, 9}, {9, 33}, {9, 33}, 0, 0}));
  EXPECT_EQ(step.levels[1].size, (Triple{24, 96, 96}));

  ladder.done(step);
  const Step second = next(ladder);
  EXPECT_EQ(second.cache_depth, 1);
  EXPECT_EQ(second.axes()[0].out, (Span{4, 8}));
}

TEST(Ladder, ChildrenCropTheCacheOfTheirParentsTile) {
  Ladder ladder({3, 12, 12}, kVideo, kCarried, {}, 1);  // one latent a chunk, whole frame
  ladder.out_of_memory(next_after_done(ladder, 1));
  // Rung 2 (tile 8) covers latents [1,3): tiles [0,7) and [5,12) on both axes.
  const Step step = next_after_done(ladder, 2);
  EXPECT_EQ(step.latent, (Box{Span{1, 2}, Span{0, 7}, Span{5, 12}}));
  EXPECT_TRUE(step.inherits_cache);
  EXPECT_EQ(step.cache_crop, (std::array<Span, 2>{Span{0, 7}, Span{5, 12}}));
  // Its first chunk fails: the grandchild still crops the root's cache.
  ladder.out_of_memory(step);
  const Step grandchild = next(ladder);
  EXPECT_EQ(grandchild.depth, 2);
  EXPECT_EQ(grandchild.cache_depth, 0);
  EXPECT_EQ(grandchild.cache_crop[1].begin, 5);
  ladder.done(grandchild);
  const Step last = next(ladder);
  EXPECT_EQ(last.cache_depth, 2);
  EXPECT_FALSE(last.inherits_cache);
}

TEST(Ladder, TheRungStaysForLaterTiles) {
  Ladder ladder({1, 12, 24}, kImage, {.tile = 8, .overlap = 2, .min_tile = 4}, {}, 1);
  const Step failed = next_after_done(ladder, 1);
  EXPECT_EQ(failed.levels[0].index, (Triple{0, 0, 1}));
  ladder.out_of_memory(failed);
  for (auto step = ladder.next(); step; step = ladder.next()) {
    EXPECT_EQ(step->depth, 1);
    EXPECT_EQ(step->rung, 2);
    ladder.done(*step);
  }
  EXPECT_EQ(ladder.counts()[1].done, 1);
  EXPECT_EQ(ladder.counts()[1].out_of_memory, 1);
  EXPECT_EQ(ladder.finished_pixels(), ladder.total_pixels());
}

TEST(Ladder, ALongTileKeepsItsLeadZoneInTime) {
  const LadderOptions options{.tile = 4, .overlap = 1, .overlap_frames = 8, .min_tile = 4};
  Ladder ladder({9, 4, 4}, kVideo, options, {}, 1);  // 4 latents a chunk, 2 shared
  const Step failed = next_after_done(ladder, 1);
  const AxisTile chunk = failed.axes()[0];
  EXPECT_GT(chunk.lead, 0);
  EXPECT_GT(chunk.tail, 0);
  ladder.out_of_memory(failed);
  const Step step = next(ladder);
  const AxisTile& joined = step.levels[0].axes[0];
  EXPECT_EQ(joined.lead, chunk.lead);
  EXPECT_EQ(joined.tail, 0);
  EXPECT_EQ(joined.use, (Span{chunk.use.begin, 33}));
  EXPECT_EQ(joined.out, (Span{chunk.out.begin, 33}));
  EXPECT_EQ(step.axes()[0].lead, 0);
}

TEST(Ladder, ARungThatWouldNotShrinkTheCallIsPassedOver) {
  // Pairs of latents: [0,2) [2,5) at rung 1. Rung 2 would make the same call of [0,2) again.
  LadderOptions options = kCarried;
  options.chunk_multiple = 2;
  Ladder ladder({5, 12, 12}, kVideo, options, {}, 1);
  const Step step = next(ladder);
  EXPECT_EQ(step.latent[0], (Span{0, 2}));
  EXPECT_EQ(ladder.rungs()[2].chunk, 2);
  ladder.out_of_memory(step);
  EXPECT_EQ(next(ladder).rung, 3);
}

TEST(Ladder, ExhaustionListsTheRungsAndChangesNothing) {
  const LadderOptions options{.tile = 8, .overlap = 2, .min_tile = 8};
  Ladder ladder({1, 12, 12}, kImage, options, {.bytes_per_pixel = 1000.0});
  ladder.out_of_memory(next(ladder));
  const Step step = next(ladder);
  const std::string message = message_of([&] { ladder.out_of_memory(step); });
  EXPECT_EQ(message,
            "step=1: out of memory at rung 2 of 2 (tile 8), and no rung makes the call smaller; "
            "the rungs need: whole: 8.89 MiB; tile 8: 3.05 MiB");
  EXPECT_THROW(ladder.out_of_memory(step), LadderExhausted);
  ladder.done(step);
  while (auto more = ladder.next()) ladder.done(*more);
  EXPECT_EQ(ladder.finished_pixels(), ladder.total_pixels());
}

TEST(Ladder, StepsMustBeReportedInOrder) {
  Ladder ladder({5, 12, 12}, kVideo, kCarried, {}, 1);
  const Step step = next(ladder);
  EXPECT_EQ(message_of([&] { (void)ladder.next(); }),
            "step=0: must be reported by done or out_of_memory before next");
  ladder.done(step);
  EXPECT_EQ(message_of([&] { ladder.done(step); }), "step=0: must be a step that next gave");
  (void)next(ladder);
  EXPECT_EQ(message_of([&] { ladder.out_of_memory(step); }), "step=0: must be 1, the open step");
}

TEST(Ladder, StartRungMustExist) {
  EXPECT_EQ(message_of([] { Ladder({5, 12, 12}, kVideo, kCarried, {}, 5); }),
            "start_rung=5: must be in [0, 4]");
  EXPECT_THROW(Ladder({5, 12, 12}, kVideo, kCarried, {}, -1), InvalidArgument);
}

TEST(Ladder, TenThousandFramesAndSixteenThousandPixels) {
  for (const std::int64_t frames : {1, 2, 4, 5, 8, 9, 81, 100, 9997, 10000}) {
    const std::int64_t latents = 1 + (frames + 2) / 4;  // clips that are not 4n+1 round up
    Ladder ladder({latents, 6, 6}, kVideo, {.tile = 6, .overlap = 0, .min_tile = 6}, {}, 0);
    while (ladder.deepest_rung() + 1 < static_cast<std::int64_t>(ladder.rungs().size())) {
      ladder.out_of_memory(next(ladder));
    }
    while (auto step = ladder.next()) ladder.done(*step);
    EXPECT_EQ(ladder.finished_pixels(), (1 + (latents - 1) * 4) * 48 * 48);
  }
  Ladder image({1, 2048, 2048}, kImage, {}, {}, 3);
  while (auto step = image.next()) image.done(*step);
  EXPECT_EQ(image.finished_pixels(), std::int64_t{16384} * 16384);
}

}  // namespace
}  // namespace truetile
