// Streaming schedules: the same cells as the whole program, each made once, in the memory planned.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "core/error.hpp"
#include "core/stream/plan.hpp"
#include "core/stream/values.hpp"
#include "stream_executor.hpp"
#include "stream_programs.hpp"

namespace truetile {
namespace {

using testing::Case;
using testing::Executor;
using testing::Plane;
using testing::ProgramMaker;
using testing::Random;
using testing::random_case;

Plane random_input(Random& random, std::int64_t frames, std::int64_t rows) {
  Plane plane(frames, rows);
  for (auto& cell : plane.cells) cell = static_cast<testing::Cell>(random.in(1, 1LL << 60));
  return plane;
}

void expect_equal(const Plane& got, const Plane& want, std::int64_t from) {
  ASSERT_EQ(got.frames, want.frames);
  ASSERT_EQ(got.rows, want.rows);
  for (std::int64_t t = 0; t < want.frames; ++t) {
    for (std::int64_t h = from; h < want.rows; ++h) {
      ASSERT_EQ(got.at(t, h), want.at(t, h)) << "frame " << t << " row " << h;
    }
  }
}

TEST(Stream, EveryStripHeightAndChunkMakesEachCellOnceAndEqual) {
  Random random(1);
  for (int round = 0; round < 400; ++round) {
    const Case one = random_case(random, false);
    const std::vector<Plane> whole =
        run_whole(one.layers, random_input(random, one.clip[0], one.clip[1]));
    const auto last = static_cast<std::int64_t>(one.layers.size());
    const Segment segment = {0, last, random.in(0, whole.back().rows), random.in(0, 4)};
    const Schedule schedule(one.layers, one.clip, segment, 8);
    SCOPED_TRACE(text("round ", round, " rows ", segment.rows, " chunk ", segment.chunk));
    std::vector<Plane> values(whole.size());
    values[0] = whole[0];
    values.back() = Plane(whole.back().frames, whole.back().rows);
    Executor executor(schedule, values);
    executor.run();
    expect_equal(values.back(), whole.back(), 0);
    for (std::size_t at = 0; at < one.layers.size(); ++at) {
      // Rows made / rows needed is 1.00 for every layer.
      ASSERT_EQ(executor.made()[at], whole[at + 1].frames * whole[at + 1].rows) << "layer " << at;
    }
    ASSERT_EQ(executor.peak(), schedule.peak_bytes());
  }
}

TEST(Stream, AnyCutGivesTheSameValues) {
  Random random(2);
  for (int round = 0; round < 200; ++round) {
    const Case one = random_case(random, random.one_in(2));
    const std::vector<Plane> whole =
        run_whole(one.layers, random_input(random, one.clip[0], one.clip[1]));
    const auto last = static_cast<std::int64_t>(one.layers.size());
    const bool decoding = whole.back().rows >= whole.front().rows;
    for (const std::int64_t cut : cuts(one.layers, one.clip)) {
      if (cut == 0) continue;
      SCOPED_TRACE(text("round ", round, " cut ", cut));
      std::vector<Plane> values(whole.size());
      values[0] = whole[0];
      for (const std::int64_t end : {cut, last}) {
        const auto index = static_cast<std::size_t>(end);
        values[index] = Plane(whole[index].frames, whole[index].rows);
        const bool streamed = (end == last) == decoding;
        const std::int64_t rows = streamed ? random.in(1, whole[index].rows) : 0;
        const std::int64_t begin = end == cut ? 0 : cut;
        const bool at_once = std::any_of(
            one.layers.begin() + begin, one.layers.begin() + end,
            [](const StreamLayer& layer) { return layer.kind == LayerKind::kClipAttention; });
        const std::int64_t chunk = at_once ? 0 : random.in(0, 3);
        const Segment segment = {begin, end, rows, chunk, true, -1, random.in(0, 40)};
        const Schedule schedule(one.layers, one.clip, segment, 8);
        Executor executor(schedule, values);
        executor.run();
        expect_equal(values[index], whole[index], 0);
        ASSERT_EQ(executor.peak(), schedule.peak_bytes());
      }
    }
  }
}

TEST(Stream, ASecondPlanGoesOnAtAnyRow) {
  Random random(3);
  for (int round = 0; round < 200; ++round) {
    const Case one = random_case(random, false);
    const std::vector<Plane> whole =
        run_whole(one.layers, random_input(random, one.clip[0], one.clip[1]));
    const std::int64_t rows = whole.back().rows;
    const std::int64_t begin = random.in(0, rows - 1);
    const auto last = static_cast<std::int64_t>(one.layers.size());
    const Segment segment = {0, last, random.in(1, rows), random.in(0, 2)};
    const Schedule schedule(one.layers, one.clip, segment, 8, begin);
    SCOPED_TRACE(text("round ", round, " begin ", begin));
    std::vector<Plane> values(whole.size());
    values[0] = whole[0];
    values.back() = Plane(whole.back().frames, rows);
    Executor executor(schedule, values);
    executor.run();
    expect_equal(values.back(), whole.back(), begin);
    ASSERT_EQ(executor.made().back(), whole.back().frames * (rows - begin));
  }
}

TEST(Stream, BuffersThatLiveTogetherNeverOverlap) {
  Random random(4);
  for (int round = 0; round < 200; ++round) {
    std::vector<Buffer> buffers;
    for (std::int64_t count = random.in(0, 30); count > 0; --count) {
      const std::int64_t begin = random.in(0, 20);
      buffers.push_back({random.in(0, 5000), begin, begin + random.in(0, 6)});
    }
    const Placement placement = place(buffers);
    for (std::size_t i = 0; i < buffers.size(); ++i) {
      ASSERT_EQ(placement.offsets[i] % kWorkspaceAlign, 0);
      ASSERT_LE(placement.offsets[i] + buffers[i].bytes, placement.bytes);
      for (std::size_t j = 0; j < i; ++j) {
        if (buffers[j].begin > buffers[i].end || buffers[i].begin > buffers[j].end) continue;
        const bool apart = placement.offsets[i] + buffers[i].bytes <= placement.offsets[j] ||
                           placement.offsets[j] + buffers[j].bytes <= placement.offsets[i];
        ASSERT_TRUE(apart) << i << " and " << j;
      }
    }
  }
}

TEST(Stream, ErrorsNameTheLayer) {
  Random random(6);
  Layers layers = ProgramMaker(random).decoder(true);
  const auto message = [](const auto& call) -> std::string {
    try {
      call();
    } catch (const InvalidArgument& error) {
      return error.what();
    }
    return "";
  };
  const auto last = static_cast<std::int64_t>(layers.size());
  const Size clip = {5, 6, 1, 1};
  EXPECT_EQ(message([&] { Schedule(layers, clip, {0, last, 2, 0}, 2); }),
            "rows=2: must be 0 (attention in layer 1)");
  EXPECT_EQ(message([&] { Schedule(layers, clip, {0, last + 1, 0, 0}, 2); }),
            text("last=", last + 1, ": must be in [1, ", last, "]"));
  layers[1].source = 2;
  EXPECT_EQ(message([&] { (void)value_sizes(layers, clip); }),
            "source=2: must be in [0, 1] (layer 1)");
  layers[1].source = 1;
  layers[0].in_channels = 7;
  EXPECT_EQ(message([&] { (void)value_sizes(layers, clip); }),
            "in_channels=7: must be in [1, 1] (layer 0)");
}

}  // namespace
}  // namespace truetile
