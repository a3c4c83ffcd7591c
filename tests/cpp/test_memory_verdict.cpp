#include <gtest/gtest.h>

#include <string>

#include "core/error.hpp"
#include "core/memory/verdict.hpp"
#include "random.hpp"

namespace truetile::memory {
namespace {

using truetile::testing::Random;

/// A model of `gib` GiB that left, on a card where 1 GiB of others' memory lies.
OffloadCase clean(std::int64_t gib = 4) {
  OffloadCase offload;
  offload.owners = {{"unet", gib * kGiB, 0, 0, true}};
  offload.before = {gib * kGiB, gib * kGiB, (gib + 2) * kGiB, kGiB, 0};
  offload.after = {0, 0, 2 * kGiB, kGiB, 0};
  return offload;
}

TEST(Verdict, PassesWhenAllLevelsAgree) {
  const Verdict verdict = judge(clean());
  EXPECT_EQ(verdict.outcome, Outcome::pass);
  EXPECT_TRUE(verdict.holders.empty());
  ASSERT_EQ(verdict.levels.size(), 4U);
  for (const LevelResult& level : verdict.levels) {
    EXPECT_EQ(level.outcome, "ok") << level.name;
    EXPECT_EQ(level.freed, 4 * kGiB);
  }
}

TEST(Verdict, AllowsTheToleranceAndNotAByteMore) {
  OffloadCase offload = clean();
  for (const std::int64_t over : {std::int64_t{0}, std::int64_t{1}}) {
    const std::int64_t left = kNativeTolerance + over;
    offload.owners[0].after = left;
    offload.after = {left, left, 2 * kGiB + left, kGiB, 0};
    EXPECT_EQ(judge(offload).outcome, over == 0 ? Outcome::pass : Outcome::fail);
  }
}

TEST(Verdict, NamesAnOwnerThatStayed) {
  OffloadCase offload = clean();
  offload.owners.push_back({"clip", kGiB, 0, kGiB, true});
  offload.before.torch_allocated = offload.before.torch_reserved = 5 * kGiB;
  offload.before.driver_used = 7 * kGiB;
  offload.after = {kGiB, kGiB, 3 * kGiB, kGiB, 0};
  const Verdict verdict = judge(offload);
  EXPECT_EQ(verdict.outcome, Outcome::fail);
  ASSERT_EQ(verdict.holders.size(), 1U) << "one cause, one holder";
  EXPECT_EQ(verdict.holders[0].name, "clip");
  EXPECT_EQ(verdict.holders[0].bytes, kGiB);
}

TEST(Verdict, NamesDynamicPagesThatTorchDoesNotSee) {
  OffloadCase offload;
  offload.tolerance = kPoolTolerance;
  offload.owners = {{"wan (dynamic pages)", 14 * kGiB, 0, 14 * kGiB, false}};
  offload.before = offload.after = {0, 0, 15 * kGiB, kGiB, std::nullopt};
  const Verdict verdict = judge(offload);
  EXPECT_EQ(verdict.outcome, Outcome::fail);
  ASSERT_EQ(verdict.holders.size(), 1U);
  EXPECT_EQ(verdict.levels[1].outcome, "ok") << "torch alone would have passed it";
}

TEST(Verdict, NamesATensorThatHoldsTheBytesOfAModelThatSaysItLeft) {
  OffloadCase offload = clean();
  offload.after = {2 * kGiB, 2 * kGiB, 4 * kGiB, kGiB, 0};
  offload.suspects = {{"a global of nodes_x [2x512 float16]", "tensors", 2 * kGiB, true, "held"}};
  const Verdict verdict = judge(offload);
  EXPECT_EQ(verdict.outcome, Outcome::fail);
  ASSERT_EQ(verdict.holders.size(), 1U);
  EXPECT_EQ(verdict.holders[0].name, "a global of nodes_x [2x512 float16]");
  offload.suspects.clear();
  EXPECT_EQ(judge(offload).holders[0].name, "torch tensors of no known owner");
}

TEST(Verdict, AfterOffloadAllAPrivateTensorFails) {
  OffloadCase offload = clean();
  offload.before.torch_allocated = offload.before.torch_reserved = 5 * kGiB;
  offload.before.driver_used = 7 * kGiB;
  offload.after = {kGiB, kGiB, 3 * kGiB, kGiB, 0};
  EXPECT_EQ(judge(offload).outcome, Outcome::pass) << "the model did leave";
  offload.allowed_allocated = 0;
  offload.suspects = {{"private", "tensors", kGiB, true, "held by a closure"}};
  EXPECT_EQ(judge(offload).outcome, Outcome::fail);
  EXPECT_EQ(judge(offload).holders[0].name, "private");
  offload.allowed_allocated = kGiB;
  EXPECT_EQ(judge(offload).outcome, Outcome::pass);
}

TEST(Verdict, MemoryInTorchsCacheIsPartial) {
  OffloadCase offload = clean();
  offload.after = {0, 3 * kGiB, 5 * kGiB, kGiB, 3 * kGiB};
  const Verdict verdict = judge(offload);
  EXPECT_EQ(verdict.outcome, Outcome::partial);
  ASSERT_EQ(verdict.holders.size(), 1U) << "the driver level is the same memory";
  EXPECT_NE(verdict.holders[0].why.find("3.00 GiB of it stranded"), std::string::npos);
  offload.after.stranded = std::nullopt;
  EXPECT_NE(judge(offload).holders[0].why.find("does not tell"), std::string::npos);
}

TEST(Verdict, TakesOutWhatOtherProcessesDid) {
  Random random(3);
  for (int round = 0; round < 500; ++round) {
    OffloadCase offload = clean(random.in(1, 40));
    const std::int64_t drift = random.in(-1024, 8192) * kMiB;
    offload.after.driver_used = *offload.after.driver_used + drift;
    offload.after.foreign = *offload.after.foreign + drift;
    const Verdict verdict = judge(offload);
    EXPECT_EQ(verdict.outcome, Outcome::pass);
    EXPECT_EQ(verdict.foreign_drift, drift);
  }
}

TEST(Verdict, DriftThatCannotBeToldApartIsPartialNotFail) {
  OffloadCase offload = clean();
  offload.before.foreign = offload.after.foreign = std::nullopt;
  offload.after.driver_used = 5 * kGiB;
  const Verdict verdict = judge(offload);
  EXPECT_EQ(verdict.outcome, Outcome::partial);
  EXPECT_EQ(verdict.holders[0].name, "unknown");
  EXPECT_FALSE(verdict.foreign_drift.has_value());
}

TEST(Verdict, OwnMemoryOutsideTorchThatGrewFails) {
  OffloadCase offload = clean();
  offload.after.driver_used = 5 * kGiB;
  const Verdict verdict = judge(offload);
  EXPECT_EQ(verdict.outcome, Outcome::fail);
  EXPECT_EQ(verdict.holders[0].name, "own memory outside torch");
  EXPECT_EQ(verdict.holders[0].bytes, 3 * kGiB);
}

TEST(Verdict, AllocatedBytesAloneProveNothing) {
  OffloadCase offload = clean();
  offload.before = {4 * kGiB, {}, {}, {}, {}};
  offload.after = {0, {}, {}, {}, {}};
  EXPECT_EQ(judge(offload).outcome, Outcome::partial);
}

TEST(Verdict, ARequestBeyondWhatOwnersHoldIsPartial) {
  OffloadCase offload = clean();
  offload.requested = 9 * kGiB;
  const Verdict verdict = judge(offload);
  EXPECT_EQ(verdict.outcome, Outcome::partial);
  EXPECT_NE(verdict.notes[0].find("requested 9.00 GiB"), std::string::npos);
}

TEST(Verdict, BudgetsNameWhoIsInTheWay) {
  OffloadCase offload = clean();
  offload.free = 3 * kGiB;
  offload.must_be_free = 8 * kGiB;
  offload.present = {{"vae", "model", kGiB, ""},
                     {"lm-server (pid 9)", "process", 4 * kGiB, ""},
                     {"own memory outside torch", "own", kGiB / 2, "CUDA context"}};
  const Verdict verdict = judge(offload);
  EXPECT_EQ(verdict.outcome, Outcome::fail);
  ASSERT_EQ(verdict.holders.size(), 2U);
  EXPECT_EQ(verdict.holders[0].name, "lm-server (pid 9)");
  EXPECT_EQ(verdict.holders[1].name, "vae");
}

TEST(Verdict, WhatMayStayDoesNotBlameOthers) {
  OffloadCase offload = clean();
  offload.stays = 2 * kGiB;
  offload.may_stay = kGiB;
  offload.present = {{"lm-server (pid 9)", "process", 9 * kGiB, ""}, {"vae", "model", 2 * kGiB}};
  const Verdict verdict = judge(offload);
  EXPECT_EQ(verdict.outcome, Outcome::fail);
  ASSERT_EQ(verdict.holders.size(), 1U);
  EXPECT_EQ(verdict.holders[0].name, "vae");
  offload.stays = kGiB;
  EXPECT_EQ(judge(offload).outcome, Outcome::pass);
}

TEST(Verdict, ABudgetWithoutAReadingIsPartial) {
  OffloadCase offload = clean();
  offload.may_stay = kGiB;
  EXPECT_EQ(judge(offload).outcome, Outcome::partial);
}

TEST(Verdict, ATargetAboveWhatWasHeldIsRefused) {
  OffloadCase offload = clean();
  offload.owners[0].target = 5 * kGiB;
  EXPECT_THROW(static_cast<void>(judge(offload)), InvalidArgument);
}

/// Whatever is hidden, a shortage beyond the tolerance is never called a pass.
TEST(Verdict, NeverPassesAShortage) {
  Random random(11);
  for (int round = 0; round < 5000; ++round) {
    OffloadCase offload = clean(random.in(1, 30));
    const std::int64_t leak = random.in(0, 4096) * kMiB;
    const std::int64_t place = random.in(0, 3);
    if (place == 0) offload.owners[0].after = leak;
    if (place <= 1) offload.after.torch_allocated = leak;
    if (place <= 2) offload.after.torch_reserved = leak;
    offload.after.driver_used = *offload.after.driver_used + leak;
    if (random.one_in(4)) offload.before.foreign = offload.after.foreign = std::nullopt;
    if (random.one_in(4)) offload.before.torch_reserved = std::nullopt;
    const bool leaked = leak > kNativeTolerance;
    const Verdict verdict = judge(offload);
    ASSERT_EQ(verdict.outcome == Outcome::pass, !leaked) << "leak " << leak << " at " << place;
    ASSERT_EQ(verdict.holders.empty(), !leaked);
  }
}

}  // namespace
}  // namespace truetile::memory
