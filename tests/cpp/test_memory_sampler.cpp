#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <thread>
#include <vector>

#include "core/error.hpp"
#include "core/memory/sampler.hpp"
#include "random.hpp"

namespace truetile::memory {
namespace {

using truetile::testing::Random;

constexpr auto kDriver = static_cast<std::size_t>(Channel::driver_used);

Sample sample_at(double seconds, std::int64_t used) {
  Sample sample;
  sample.seconds = seconds;
  sample.values[kDriver] = used;
  return sample;
}

std::vector<std::unique_ptr<Source>> reading(std::atomic<std::int64_t>& used) {
  std::vector<std::unique_ptr<Source>> sources;
  sources.push_back(
      function_source([&used](Sample& sample) { sample.values[kDriver] = used.load(); }));
  return sources;
}

TEST(Phase, PeakMeanMinimumAndGap) {
  Phase phase("decode", 1.0);
  phase.add(sample_at(1.0, 100));
  phase.add(sample_at(1.5, 300));
  phase.add(sample_at(4.0, 200));
  phase.end(5.0);
  const ChannelStats stats = phase.stats(Channel::driver_used);
  EXPECT_EQ(stats.peak, 300);
  EXPECT_EQ(stats.minimum, 100);
  EXPECT_EQ(stats.peak_seconds, 1.5);
  EXPECT_EQ(stats.rank, Rank::sample);
  EXPECT_EQ(stats.mean, std::llround((100 * 0.5 + 300 * 2.5 + 200 * 1.0) / 4.0));
  EXPECT_EQ(phase.widest_gap(), 2.5);
  EXPECT_FALSE(phase.stats(Channel::own_process).peak.has_value()) << "unknown is not 0";
}

TEST(Phase, AMarkThatRoseIsTheExactPeak) {
  Phase phase("spike", 0.0);
  phase.marks(0.0, {100, 200, 500, 600});
  phase.marks(1.0, {100, 200, 900, 600});
  const ChannelStats allocated = phase.stats(Channel::torch_allocated);
  EXPECT_EQ(allocated.peak, 900);
  EXPECT_EQ(allocated.rank, Rank::high_water);
  const ChannelStats reserved = phase.stats(Channel::torch_reserved);
  EXPECT_EQ(reserved.peak, 200) << "the old mark belongs to an earlier phase";
  EXPECT_EQ(reserved.rank, Rank::event);
  EXPECT_EQ(phase.resets(), 0);
}

TEST(Phase, NoticesThatSomebodyResetTheMark) {
  Phase phase("other node", 0.0);
  phase.marks(0.0, {100, 100, 5000, 5000});
  phase.marks(1.0, {100, 100, 800, 900});
  EXPECT_EQ(phase.resets(), 1);
  EXPECT_EQ(phase.stats(Channel::torch_allocated).peak, 800) << "reached since the reset";
  EXPECT_EQ(phase.stats(Channel::torch_allocated).rank, Rank::high_water);
}

TEST(Phase, AgreesWithANaiveRecord) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    Random random(seed);
    Phase phase("random", 0.0);
    double now = 0.0;
    double gap = 0.0;
    std::vector<std::pair<double, std::int64_t>> truth;
    for (std::int64_t i = random.in(1, 40); i > 0; --i) {
      const double step = static_cast<double>(random.in(0, 100)) / 100.0;
      now += step;
      gap = std::max(gap, step);
      truth.emplace_back(now, random.in(0, 1000));
      phase.add(sample_at(now, truth.back().second));
    }
    phase.end(now);
    std::int64_t peak = 0;
    std::int64_t least = 1000;
    double area = 0.0;
    for (std::size_t i = 0; i < truth.size(); ++i) {
      peak = std::max(peak, truth[i].second);
      least = std::min(least, truth[i].second);
      const double until = i + 1 < truth.size() ? truth[i + 1].first : now;
      area += static_cast<double>(truth[i].second) * (until - truth[i].first);
    }
    const ChannelStats stats = phase.stats(Channel::driver_used);
    ASSERT_EQ(stats.peak, peak);
    ASSERT_EQ(stats.minimum, least);
    const double length = now - truth.front().first;
    const double mean = length > 0 ? area / length : static_cast<double>(truth.back().second);
    ASSERT_NEAR(static_cast<double>(*stats.mean), mean, 0.51);
    ASSERT_NEAR(phase.widest_gap(), gap, 1e-9);
  }
}

int intervals_after(const std::vector<std::int64_t>& driver) {
  Pace pace;
  for (const std::int64_t used : driver) pace.add(sample_at(0.0, used));
  return pace.intervals();
}

TEST(Pace, SlowsDownOnceWhileNothingMoves) {
  const auto still = static_cast<std::size_t>(Pace::kStill);
  EXPECT_EQ(intervals_after({}), 1);
  EXPECT_EQ(intervals_after(std::vector<std::int64_t>(still, kGiB)), 1);
  EXPECT_EQ(intervals_after(std::vector<std::int64_t>(still + 1, kGiB)), 2);
  EXPECT_EQ(intervals_after(std::vector<std::int64_t>(1000, kGiB)), 2) << "never more than two";
}

TEST(Pace, WhatMovesIsFollowedAtOnce) {
  std::vector<std::int64_t> used(100, kGiB);
  used.push_back(kGiB + Pace::kMoved - 1);
  EXPECT_EQ(intervals_after(used), 2);
  used.push_back(kGiB - Pace::kMoved);
  EXPECT_EQ(intervals_after(used), 1);
  // A slow drift adds up against the value that the pace was last set by.
  std::vector<std::int64_t> drift;
  for (std::int64_t i = 0; i < 200; ++i) drift.push_back(i * Pace::kMoved / 8);
  EXPECT_EQ(intervals_after(drift), 1);
}

TEST(Pace, GoesByTheDeviceAndWithoutOneByTheProcess) {
  Pace with_device;
  Pace without;
  for (std::int64_t i = 0; i < 100; ++i) {
    Sample sample = sample_at(0.0, kGiB);
    sample.values[static_cast<std::size_t>(Channel::ram)] = i * Pace::kMoved;
    with_device.add(sample);
    sample.values[kDriver].reset();
    without.add(sample);
  }
  EXPECT_EQ(with_device.intervals(), 2);
  EXPECT_EQ(without.intervals(), 1);
  with_device.hurry();
  EXPECT_EQ(with_device.intervals(), 1);
}

TEST(Sampler, SeesASpikeThatLastsSeveralIntervals) {
  std::atomic<std::int64_t> used = 100;
  Sampler sampler(0.002, 1000, reading(used));
  sampler.start();
  const std::int64_t id = sampler.begin_phase("spike");
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  used = 9000;
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  used = 100;
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const PhaseStats stats = sampler.end_phase(id);
  EXPECT_EQ(stats.channels[kDriver].peak, 9000);
  EXPECT_EQ(stats.channels[kDriver].minimum, 100);
  EXPECT_GT(*stats.channels[kDriver].mean, 100);
  EXPECT_GT(stats.samples, 5);
  EXPECT_GT(stats.widest_gap, 0.0);
  sampler.stop();
  EXPECT_FALSE(sampler.running());
}

TEST(Sampler, TheRingForgetsAndThePhaseDoesNot) {
  std::atomic<std::int64_t> used = 5000;
  Sampler sampler(60.0, 4, reading(used));
  const std::int64_t outer = sampler.begin_phase("outer");
  used = 10;
  for (int i = 0; i < 10; ++i) sampler.end_phase(sampler.begin_phase("inner"));
  const std::vector<Sample> kept = sampler.samples();
  ASSERT_EQ(kept.size(), 4U);
  EXPECT_EQ(sampler.taken(), 21);
  for (std::size_t i = 1; i < kept.size(); ++i) EXPECT_LE(kept[i - 1].seconds, kept[i].seconds);
  EXPECT_TRUE(sampler.samples(kept.back().seconds).empty());
  EXPECT_EQ(sampler.end_phase(outer).channels[kDriver].peak, 5000);
}

TEST(Sampler, RefusesWhatIsOutOfRange) {
  EXPECT_THROW(Sampler(0.0, 10, {}), InvalidArgument);
  EXPECT_THROW(Sampler(1.0, 0, {}), InvalidArgument);
  Sampler sampler(1.0, 10, {});
  EXPECT_THROW(static_cast<void>(sampler.end_phase(3)), InvalidArgument);
  const std::int64_t id = sampler.begin_phase("once");
  sampler.end_phase(id);
  EXPECT_THROW(static_cast<void>(sampler.peek_phase(id)), InvalidArgument);
}

TEST(Sampler, IsSafeFromManyThreads) {
  std::atomic<std::int64_t> used = 1;
  Sampler sampler(0.001, 64, reading(used));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&sampler, &used, t] {
      for (int i = 0; i < 200; ++i) {
        if (i % 20 == t) sampler.start();
        const std::int64_t id = sampler.begin_phase("phase");
        used = i;
        sampler.feed({i, i, i, i});
        sampler.event(Channel::ram, i);
        static_cast<void>(sampler.peek_phase(id));
        static_cast<void>(sampler.samples());
        if (i % 20 == 10 + t) sampler.stop();
        EXPECT_EQ(sampler.end_phase(id).name, "phase");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GE(sampler.taken(), 1600);
}

TEST(Sampler, ReadsTheRamOfThisProcess) {
  std::vector<std::unique_ptr<Source>> sources;
  sources.push_back(ram_source());
  Sampler sampler(60.0, 10, std::move(sources));
  const std::int64_t id = sampler.begin_phase("ram");
  std::vector<char> block(64 * kMiB, 1);
  const PhaseStats stats = sampler.end_phase(id);
#if defined(__linux__)
  const ChannelStats ram = stats.channels[static_cast<std::size_t>(Channel::ram)];
  ASSERT_TRUE(ram.peak.has_value());
  EXPECT_GE(*ram.peak - *ram.minimum, 60 * kMiB);
#endif
  EXPECT_EQ(block.back(), 1);
}

TEST(Sampler, WithoutADriverSaysWhy) {
  const FoundSource found = nvml_source("GPU-00000000-0000-0000-0000-000000000000");
  EXPECT_EQ(found.source, nullptr);
  EXPECT_FALSE(found.reason.empty());
}

}  // namespace
}  // namespace truetile::memory
