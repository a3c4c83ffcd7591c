#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "core/error.hpp"
#include "core/grid.hpp"
#include "random.hpp"

namespace truetile {
namespace {

using testing::Random;

std::string message_of(const auto& call) {
  try {
    call();
  } catch (const InvalidArgument& error) {
    return error.what();
  }
  return "nothing thrown";
}

/// Everything a grid of tiles promises, whatever its numbers.
void check_tiles(const std::vector<AxisTile>& tiles, std::int64_t size, AxisScale scale) {
  const std::int64_t pixels = scale.pixels(size);
  std::vector<double> total(static_cast<std::size_t>(pixels), 0.0);
  std::vector<int> touched(static_cast<std::size_t>(pixels), 0);
  EXPECT_EQ(tiles.front().latent.begin, 0);
  EXPECT_EQ(tiles.back().latent.end, size);
  EXPECT_EQ(tiles.front().lead, 0);
  EXPECT_EQ(tiles.back().tail, 0);
  for (std::size_t i = 0; i < tiles.size(); ++i) {
    const AxisTile& tile = tiles[i];
    ASSERT_LE(tile.out.begin, tile.use.begin);
    ASSERT_LE(tile.use.end, tile.out.end);
    ASSERT_LE(tile.lead + tile.tail, tile.use.length());
    if (i > 0) {
      const AxisTile& before = tiles[i - 1];
      ASSERT_LT(before.latent.begin, tile.latent.begin);
      ASSERT_EQ(before.tail, tile.lead);
      ASSERT_EQ(before.use.end - before.tail, tile.use.begin);
      ASSERT_GE(before.out.end, tile.out.begin);
      // The zone lies in the middle of the overlap, up to half a pixel.
      const std::int64_t off = 2 * tile.use.begin + tile.lead - before.out.end - tile.out.begin;
      ASSERT_TRUE(off == 0 || off == -1) << off;
      ASSERT_TRUE(tile.lead > 0 || before.out.end == tile.out.begin);
    }
    const std::vector<double> weights = axis_weights(tile);
    for (std::size_t k = 0; k < weights.size(); ++k) {
      const auto at = static_cast<std::size_t>(tile.use.begin) + k;
      ASSERT_GT(weights[k], 0.0);
      total[at] += weights[k];
      ++touched[at];
    }
  }
  for (std::size_t at = 0; at < total.size(); ++at) {
    ASSERT_NEAR(total[at], 1.0, 1e-12) << at;
    ASSERT_LE(touched[at], 2) << at;
  }
}

TEST(EvenGrid, OneTileWhereItCoversAll) {
  EXPECT_EQ(even_grid(64, 64, 63), (std::vector<Span>{{0, 64}}));
  EXPECT_EQ(even_grid(1, 512, 0), (std::vector<Span>{{0, 1}}));
}

TEST(EvenGrid, SpreadsEvenlyWithoutAShortRemainder) {
  EXPECT_EQ(even_grid(100, 64, 0), (std::vector<Span>{{0, 50}, {50, 100}}));
  EXPECT_EQ(even_grid(104, 64, 8), (std::vector<Span>{{0, 56}, {48, 104}}));
  EXPECT_EQ(even_grid(7, 3, 2), (std::vector<Span>{{0, 3}, {1, 4}, {2, 5}, {3, 6}, {4, 7}}));
}

TEST(EvenGrid, StretchesTilesUpToTheWorkAllowed) {
  // 3 tiles of 48 would do; 3 of 60 read 1.41 times the axis, and none reaches the 64 asked for.
  EXPECT_EQ(even_grid(128, 64, 8, 1000), (std::vector<Span>{{0, 48}, {40, 88}, {80, 128}}));
  EXPECT_EQ(even_grid(128, 64, 8, 1414), (std::vector<Span>{{0, 60}, {34, 94}, {68, 128}}));
  EXPECT_EQ(even_length(256, 64, 8, 1414), 63);
  EXPECT_EQ(even_length(64, 64, 8, 1414), 64);
  EXPECT_EQ(even_length(7, 3, 2, 4000), 3);
  EXPECT_EQ(message_of([] { (void)even_grid(100, 64, 8, 999); }),
            "stretch=999: must be in [1000, 4000]");
}

TEST(EvenGrid, PropertiesHoldForRandomSizes) {
  Random random(1);
  for (int i = 0; i < 20000; ++i) {
    const std::int64_t size = random.in(1, random.one_in(50) ? 16384 : 300);
    const std::int64_t tile = random.in(1, size + 5);
    const std::int64_t overlap = random.one_in(4) ? tile - 1 : random.in(0, tile - 1);
    const std::vector<Span> grid = even_grid(size, tile, overlap);
    SCOPED_TRACE(::testing::Message() << size << " " << tile << " " << overlap);
    ASSERT_EQ(grid.front().begin, 0);
    ASSERT_EQ(grid.back().end, size);
    ASSERT_EQ(grid.front().length(), even_length(size, tile, overlap));
    ASSERT_LE(grid.front().length(), std::min(tile, size));
    for (std::size_t k = 1; k < grid.size(); ++k) {
      ASSERT_EQ(grid[k].length(), grid[0].length());
      ASSERT_GT(grid[k].begin, grid[k - 1].begin);
      ASSERT_GE(grid[k - 1].end - grid[k].begin, overlap);
    }
    // One tile fewer could not do it.
    const auto fewer = static_cast<std::int64_t>(grid.size()) - 1;
    ASSERT_LT(fewer * tile - (fewer - 1) * overlap, size + (fewer == 0 ? overlap + 1 : 0));
  }
}

TEST(ChunkGrid, EndsOnMultiples) {
  EXPECT_EQ(chunk_grid(21, 4),
            (std::vector<Span>{{0, 3}, {3, 7}, {7, 10}, {10, 14}, {14, 17}, {17, 21}}));
  EXPECT_EQ(chunk_grid(9, 5, 2), (std::vector<Span>{{0, 2}, {2, 6}, {6, 9}}));
  EXPECT_EQ(chunk_grid(1, 1), (std::vector<Span>{{0, 1}}));
}

TEST(ChunkGrid, PropertiesHoldForRandomSizes) {
  Random random(2);
  for (int i = 0; i < 20000; ++i) {
    const std::int64_t size = random.in(1, random.one_in(50) ? 10000 : 100);
    const std::int64_t multiple = random.in(1, 5);
    const std::int64_t chunk = random.in(multiple, 60);
    std::int64_t begin = 0;
    for (const Span span : chunk_grid(size, chunk, multiple)) {
      ASSERT_EQ(span.begin, begin);
      ASSERT_GT(span.length(), 0);
      ASSERT_LE(span.length(), chunk);
      ASSERT_TRUE(span.end == size || span.end % multiple == 0);
      begin = span.end;
    }
    ASSERT_EQ(begin, size);
  }
}

TEST(AxisScale, CausalChunksAreAlignedToTheirEnd) {
  const AxisScale causal{4, 1};
  EXPECT_EQ(causal.pixels(21), 81);
  EXPECT_EQ(causal.span({0, 3}, false), (Span{0, 9}));
  // 1 + 2 * 4 frames that end where latent 5 ends: the first one is the last of its group.
  EXPECT_EQ(causal.span({3, 6}, false), (Span{12, 21}));
  EXPECT_EQ(causal.span({0, 3}, true), (Span{0, 9}));
  EXPECT_EQ(causal.span({3, 6}, true), (Span{9, 21}));
  const AxisScale plain{4, 4};
  EXPECT_EQ(plain.span({3, 6}, false), (Span{12, 24}));
  EXPECT_EQ(plain.span({3, 6}, true), (Span{12, 24}));
}

TEST(AxisTiles, TwoTilesBlendOverTheirWholeOverlap) {
  const std::vector<AxisTile> tiles = axis_tiles(104, 64, 8, {8, 8});
  ASSERT_EQ(tiles.size(), 2U);
  EXPECT_EQ(tiles[0], (AxisTile{{0, 56}, {0, 448}, {0, 448}, 0, 64}));
  EXPECT_EQ(tiles[1], (AxisTile{{48, 104}, {384, 832}, {384, 832}, 64, 0}));
}

TEST(AxisTiles, ZonesNeverMeetUnderAnOverlapOfMoreThanHalf) {
  const std::vector<AxisTile> tiles = axis_tiles(7, 3, 2, {8, 8});
  for (const AxisTile& tile : tiles) EXPECT_LE(tile.lead, 8);
  check_tiles(tiles, 7, {8, 8});
}

TEST(AxisTiles, CarriedChunksShareNothing) {
  for (const AxisTile& tile : axis_tiles(21, 4, 0, {4, 1}, true)) {
    EXPECT_EQ(tile.use, tile.out);
    EXPECT_EQ(tile.lead + tile.tail, 0);
  }
}

TEST(AxisTiles, PropertiesHoldForRandomAxes) {
  Random random(3);
  for (int i = 0; i < 20000; ++i) {
    const std::int64_t size = random.in(1, random.one_in(100) ? 2048 : 60);
    const std::int64_t factor = random.in(1, 9);
    const AxisScale scale{factor, random.one_in(2) ? factor : random.in(1, factor)};
    const bool carried = random.one_in(4);
    const std::int64_t least = scale.causal() && !carried ? 1 : 0;
    const std::int64_t tile = random.in(1 + least, size + 3);
    const std::int64_t overlap = carried ? 0 : random.in(least, tile - 1);
    SCOPED_TRACE(::testing::Message() << size << " " << tile << " " << overlap << " " << factor
                                      << " " << scale.first << " " << carried);
    const std::vector<AxisTile> tiles = axis_tiles(size, tile, overlap, scale, carried);
    check_tiles(tiles, size, scale);
    for (std::size_t k = 1; k < tiles.size() && !carried; ++k) {
      ASSERT_EQ(tiles[k].out.length(), tiles[0].out.length());
      // The asked overlap arrives in pixels; a causal call loses all but `first` of one latent.
      ASSERT_GE(tiles[k - 1].out.end - tiles[k].out.begin, scale.pixels(overlap + 1) - factor);
    }
  }
}

TEST(AxisTiles, LargestSizesStayExact) {
  check_tiles(axis_tiles(16384, 2, 1, {1, 1}), 16384, {1, 1});
  check_tiles(axis_tiles(2501, 4, 1, {4, 1}), 2501, {4, 1});  // 10,001 frames
  const std::vector<AxisTile> tiles = axis_tiles(kMaxSize, 1 << 20, 8, {1024, 1024});
  EXPECT_EQ(tiles.back().out.end, kMaxSize * 1024);
}

TEST(AxisTiles, ErrorsNameArgumentValueAndRange) {
  EXPECT_EQ(message_of([] { (void)even_grid(100, 64, 64); }),
            "overlap=64: must be in [0, 63] (tile=64)");
  EXPECT_EQ(message_of([] { (void)even_grid(100, 64, -1); }),
            "overlap=-1: must be in [0, 63] (tile=64)");
  EXPECT_EQ(message_of([] { (void)even_grid(0, 64, 0); }), "size=0: must be in [1, 16777216]");
  EXPECT_EQ(message_of([] { (void)even_grid(5, 0, 0); }), "tile=0: must be in [1, 16777216]");
  EXPECT_EQ(message_of([] { (void)chunk_grid(5, 1, 2); }),
            "chunk=1: must be in [2, 33554432] (multiple=2)");
  EXPECT_EQ(message_of([] { (void)axis_tiles(5, 3, 1, {4, 5}); }),
            "first=5: must be in [1, 4] (factor=4)");
  EXPECT_EQ(message_of([] { (void)axis_tiles(5, 3, 1, {4, 1}, true); }),
            "overlap=1: must be in [0, 0] (carried)");
  EXPECT_EQ(message_of([] { (void)axis_tiles(5, 1, 0, {4, 1}); }),
            "tile=1: must be in [2, 16777216] (causal)");
  EXPECT_EQ(message_of([] { (void)axis_tiles(5, 3, 0, {4, 1}); }),
            "overlap=0: must be in [1, 2] (causal, tile=3)");
}

}  // namespace
}  // namespace truetile
