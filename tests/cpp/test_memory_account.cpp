#include <gtest/gtest.h>

#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/memory/account.hpp"
#include "core/memory/fragmentation.hpp"
#include "core/memory/pins.hpp"
#include "random.hpp"

namespace truetile::memory {
namespace {

using truetile::testing::Random;

std::int64_t total(const Account& account) {
  return std::accumulate(account.parts.begin(), account.parts.end(), std::int64_t{0},
                         [](std::int64_t sum, const Part& part) { return sum + part.bytes; });
}

std::int64_t part(const Account& account, const std::string& name) {
  for (const Part& line : account.parts) {
    if (line.name == name) return line.bytes;
  }
  ADD_FAILURE() << "no part called " << name;
  return -1;
}

/// A GPU with torch's segments on it, and the plain truth about who allocated what.
class SimulatedDevice {
 public:
  explicit SimulatedDevice(std::uint64_t seed) : random_(seed) {}

  void step() {
    switch (random_.in(0, 6)) {
      case 0:
      case 1:
        return allocate();
      case 2:
        return release();
      case 3:
        return empty_cache();
      case 4:
        pages_["model " + std::to_string(random_.in(0, 2))] = 32 * kMiB * random_.in(0, 20);
        return;
      case 5:
        others_[random_.in(1, 4)] = kMiB * random_.in(0, 5000);
        return;
      default:
        context_ += kMiB * random_.in(0, 8);
    }
  }

  [[nodiscard]] Readings readings() const {
    Readings readings;
    readings.torch_allocated = allocated();
    readings.torch_reserved = reserved();
    readings.own_process = reserved() + all(pages_) + context_;
    readings.others.emplace();
    for (const auto& [pid, bytes] : others_) {
      readings.others->push_back({pid, "other", bytes});
    }
    readings.driver_total = 200000 * kMiB;
    readings.driver_used = *readings.own_process + all(others_) + kOverhead;
    return readings;
  }

  [[nodiscard]] std::vector<Owner> owners() const {
    std::map<std::string, std::int64_t> by_name;
    for (const Slab& slab : slabs_) {
      for (const Tensor& tensor : slab.tensors) by_name[tensor.owner] += tensor.bytes;
    }
    std::vector<Owner> owners;
    for (const auto& [name, bytes] : by_name) owners.push_back({name, "tensors", bytes});
    for (const auto& [name, bytes] : pages_) owners.push_back({name, "model", bytes, false});
    return owners;
  }

  [[nodiscard]] std::vector<Segment> segments() const {
    std::vector<Segment> segments;
    for (const Slab& slab : slabs_) {
      Segment segment{slab.address, slab.stream, "large", false, {}};
      std::int64_t used = 0;
      for (const Tensor& tensor : slab.tensors) {
        segment.blocks.push_back({tensor.bytes, tensor.bytes - tensor.bytes / 7, BlockState::live});
        used += tensor.bytes;
      }
      if (used < slab.size) segment.blocks.push_back({slab.size - used, 0, BlockState::free});
      segments.push_back(segment);
    }
    return segments;
  }

  [[nodiscard]] std::vector<std::uint64_t> addresses() const {
    std::vector<std::uint64_t> found;
    for (const Slab& slab : slabs_) {
      std::uint64_t at = slab.address;
      for (const Tensor& tensor : slab.tensors) {
        if (tensor.bytes > 0) found.push_back(at);
        at += static_cast<std::uint64_t>(tensor.bytes);
      }
    }
    return found;
  }
  [[nodiscard]] std::int64_t tensors_at(std::uint64_t address) const {
    for (const Slab& slab : slabs_) {
      if (slab.address == address) return static_cast<std::int64_t>(slab.tensors.size());
    }
    return 0;
  }

  [[nodiscard]] std::int64_t allocated() const {
    std::int64_t sum = 0;
    for (const Slab& slab : slabs_) sum += slab.used();
    return sum;
  }
  [[nodiscard]] std::int64_t reserved() const {
    std::int64_t sum = 0;
    for (const Slab& slab : slabs_) sum += slab.size;
    return sum;
  }
  [[nodiscard]] std::int64_t context() const { return context_; }
  void empty_cache() {
    std::erase_if(slabs_, [](const Slab& slab) { return slab.tensors.empty(); });
  }

  static constexpr std::int64_t kOverhead = 9 * kMiB;

 private:
  struct Tensor {
    std::string owner;
    std::int64_t bytes;
  };
  struct Slab {
    std::uint64_t address;
    std::int64_t stream, size;
    std::vector<Tensor> tensors;
    [[nodiscard]] std::int64_t used() const {
      std::int64_t sum = 0;
      for (const Tensor& tensor : tensors) sum += tensor.bytes;
      return sum;
    }
  };

  template <typename Map>
  static std::int64_t all(const Map& map) {
    std::int64_t sum = 0;
    for (const auto& [key, bytes] : map) sum += bytes;
    return sum;
  }

  void allocate() {
    const Tensor tensor{"tensor " + std::to_string(random_.in(0, 5)), random_.in(1, 40) * 512};
    const std::int64_t stream = random_.in(0, 1);
    for (Slab& slab : slabs_) {
      if (slab.stream == stream && slab.size - slab.used() >= tensor.bytes) {
        return slab.tensors.push_back(tensor);
      }
    }
    const auto address = static_cast<std::uint64_t>(1 + taken_++) * kGiB;
    slabs_.push_back({address, stream, random_.in(1, 4) * 20480, {tensor}});
  }

  void release() {
    if (slabs_.empty()) return;
    auto& tensors = slabs_[random_.in(0, std::ssize(slabs_) - 1)].tensors;
    if (!tensors.empty()) tensors.erase(tensors.begin() + random_.in(0, std::ssize(tensors) - 1));
  }

  Random random_;
  std::vector<Slab> slabs_;
  std::map<std::string, std::int64_t> pages_;
  std::map<std::int64_t, std::int64_t> others_;
  std::int64_t context_ = 600 * kMiB;
  std::int64_t taken_ = 0;
};

TEST(Account, AgreesWithTheTruthWhateverHappens) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    SimulatedDevice device(seed);
    for (int step = 0; step < 60; ++step) {
      device.step();
      const Account account = make_account(device.readings(), device.owners());
      ASSERT_EQ(total(account), *account.used) << "seed " << seed;
      ASSERT_EQ(account.unknown, SimulatedDevice::kOverhead);
      ASSERT_EQ(part(account, "torch tensors of no known owner"), 0);
      ASSERT_EQ(part(account, "torch slack"), device.reserved() - device.allocated());
      ASSERT_EQ(part(account, "own memory outside torch"), device.context());
      ASSERT_TRUE(account.notes.empty()) << account.notes.front();
    }
  }
}

TEST(Account, AnOwnerThatIsNotNamedShowsAsTorchTensors) {
  SimulatedDevice device(7);
  for (int step = 0; step < 200; ++step) device.step();
  std::vector<Owner> owners = device.owners();
  const Owner hidden = owners.front();
  owners.erase(owners.begin());
  const Account account = make_account(device.readings(), owners);
  EXPECT_EQ(part(account, "torch tensors of no known owner"), hidden.bytes);
  EXPECT_EQ(total(account), *account.used);
}

TEST(Account, WhatIsNotToldBecomesUnknownAndIsSaid) {
  Readings readings;
  readings.driver_total = 24 * kGiB;
  readings.driver_used = 10 * kGiB;
  readings.torch_allocated = 4 * kGiB;
  readings.torch_reserved = 5 * kGiB;
  const Account account = make_account(readings, {{"unet", "model", 3 * kGiB}});
  EXPECT_EQ(account.unknown, 5 * kGiB);
  EXPECT_EQ(total(account), 10 * kGiB);
  EXPECT_FALSE(account.foreign.has_value());
  ASSERT_EQ(account.notes.size(), 2U);
  EXPECT_NE(account.notes[1].find("other processes: not available"), std::string::npos);
}

TEST(Account, ANegativeRestIsSaid) {
  Readings readings;
  readings.driver_used = 2 * kGiB;
  readings.torch_allocated = kGiB;
  const Account account = make_account(readings, {{"twice", "model", 3 * kGiB}});
  EXPECT_EQ(part(account, "torch tensors of no known owner"), -2 * kGiB);
  EXPECT_NE(account.notes.front().find("-2.00 GiB, below zero"), std::string::npos);
}

TEST(Account, ProcessesWithoutBytesLeaveForeignUnknown) {
  Readings readings;
  readings.driver_used = 9 * kGiB;
  readings.others = {{12, "lm", 4 * kGiB}, {13, "game", std::nullopt}};
  const Account account = make_account(readings, {});
  EXPECT_FALSE(account.foreign.has_value());
  EXPECT_EQ(part(account, "lm (pid 12)"), 4 * kGiB);
}

TEST(Account, NegativeBytesAreRefusedByName) {
  try {
    static_cast<void>(make_account({}, {{"vae", "model", -1}}));
    FAIL();
  } catch (const InvalidArgument& error) {
    EXPECT_NE(std::string(error.what()).find("bytes of vae=-1: must be in [0, "),
              std::string::npos);
  }
}

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
