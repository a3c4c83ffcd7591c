#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/memory/account.hpp"
#include "simulated_device.hpp"

namespace truetile::memory {
namespace {

using testing::SimulatedDevice;

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

}  // namespace
}  // namespace truetile::memory
