#include <gtest/gtest.h>

#include <vector>

#include "core/memory/fragmentation.hpp"
#include "core/memory/pins.hpp"
#include "simulated_device.hpp"

namespace truetile::memory {
namespace {

using testing::SimulatedDevice;

TEST(Fragmentation, AgreesWithWhatEmptyCacheReallyFrees) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    SimulatedDevice device(seed);
    for (int step = 0; step < 80; ++step) device.step();
    const Fragmentation before = analyze(device.segments());
    ASSERT_EQ(before.allocated, device.allocated());
    ASSERT_EQ(before.reserved, device.reserved());
    ASSERT_EQ(before.slack, before.limbo + before.stranded + before.releasable);
    const std::vector<Pin> pins = find_pins(device.segments(), device.addresses());
    ASSERT_EQ(pins.size(), before.comb.size());
    for (const Pin& pin : pins) {
      ASSERT_EQ(pin.unknown, 0) << "every tensor was given, seed " << seed;
      ASSERT_EQ(static_cast<std::int64_t>(pin.storages.size()), device.tensors_at(pin.address));
      ASSERT_EQ(pin.size, pin.free + pin.live);
    }
    device.empty_cache();
    ASSERT_EQ(device.reserved(), before.reserved - before.releasable) << "seed " << seed;
    std::int64_t comb = 0;
    for (const Tooth& tooth : before.comb) comb += tooth.free;
    ASSERT_EQ(comb, before.stranded);
    std::int64_t free = 0;
    for (const PoolFree& pool : before.pools) {
      free += pool.free;
      ASSERT_LE(pool.largest, pool.free);
    }
    ASSERT_EQ(free, before.stranded + before.releasable);
  }
}

TEST(Fragmentation, IsKnownPerStream) {
  // 6 MiB are free, but a stream can use 2 or 4 of them.
  const auto segment = [](std::uint64_t address, std::int64_t stream, std::int64_t free) {
    return Segment{address,
                   stream,
                   "large",
                   false,
                   {{kMiB, kMiB, BlockState::live}, {free, 0, BlockState::free}}};
  };
  const Fragmentation found = analyze({segment(1, 0, 2 * kMiB), segment(2, 7, 4 * kMiB)});
  ASSERT_EQ(found.pools.size(), 2U);
  EXPECT_EQ(found.pools[0].largest, 2 * kMiB);
  EXPECT_EQ(found.pools[1].largest, 4 * kMiB);
  EXPECT_EQ(found.stranded, 6 * kMiB);
  EXPECT_EQ(found.comb.front().address, 2U) << "more free bytes for the same live ones";
}

TEST(Fragmentation, ExpandableSegmentsStrandNothing) {
  const Fragmentation found =
      analyze({{1, 0, "large", true, {{kMiB, 1, BlockState::live}, {kMiB, 0, BlockState::free}}}});
  EXPECT_EQ(found.stranded, 0);
  EXPECT_EQ(found.releasable, kMiB);
  EXPECT_EQ(found.rounding_loss, kMiB - 1);
}

}  // namespace
}  // namespace truetile::memory
