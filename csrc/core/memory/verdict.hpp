#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/memory/types.hpp"

namespace truetile::memory {

/// What one owner held, was to hold, and holds now.
struct Expectation {
  std::string owner;
  std::int64_t before = 0;
  std::int64_t target = 0;
  std::int64_t after = 0;
  bool in_torch = true;
};

/// One reading at the levels below the owners.
struct Levels {
  Bytes torch_allocated;
  Bytes torch_reserved;
  Bytes driver_used;
  Bytes foreign;   ///< other processes; nothing where they cannot be told
  Bytes stranded;  ///< free inside torch, but a live block in its segment keeps it there
};

/// All that a verdict needs; nothing is measured here.
struct OffloadCase {
  std::vector<Expectation> owners;
  Levels before;
  Levels after;
  std::int64_t tolerance = kNativeTolerance;
  Bytes requested;              ///< "free N bytes"; nothing when whole owners were named
  Bytes allowed_allocated;      ///< what may stay in torch at all; nothing: not asked
  std::vector<Owner> suspects;  ///< who else is in torch now and was not to stay, largest first
  Bytes stays;         ///< what this process keeps on the device (context and libraries aside)
  Bytes may_stay;      ///< budget for it
  Bytes free;          ///< what the next phase can get
  Bytes must_be_free;  ///< budget for it
  std::vector<Part> present;  ///< the account after, to name who is in the way of a budget
  /// Nothing was to leave the device (weights that live in RAM): levels have nothing to prove.
  bool nothing_to_prove = false;
};

enum class Outcome : std::uint8_t { pass, partial, fail };

/// `owners`, `torch allocated`, `torch reserved` or `driver`.
struct LevelResult {
  std::string name;
  std::int64_t expected = 0;  ///< bytes that had to leave
  Bytes freed;                ///< bytes that left, other processes' change taken out
  std::string outcome;        ///< "ok", "short", "not available"
};

/// Who keeps bytes that were to be free.
struct Holder {
  std::string name;
  std::int64_t bytes = 0;
  std::string why;
};

struct Verdict {
  Outcome outcome = Outcome::pass;
  std::vector<LevelResult> levels;
  std::vector<Holder> holders;
  Bytes foreign_drift;  ///< what other processes took (negative: gave back) meanwhile
  std::vector<std::string> notes;
};

/// pass: every level that can be told agrees within the tolerance, and the driver's or torch's
///   reserved bytes are among them.
/// partial: the owners left, but torch's cache keeps the bytes, the proof cannot be had on this
///   machine, or the owners held less than was requested.
/// fail: somebody still holds memory that was to leave, or a budget is not kept.
///
/// A verdict other than pass is due a second reading, kSecondReadingSeconds later: the driver
/// lags, and ComfyUI's own collection runs at most every ten seconds.
/// Throws InvalidArgument for negative bytes.
[[nodiscard]] Verdict judge(const OffloadCase& offload);

inline constexpr double kSecondReadingSeconds = 2.0;

[[nodiscard]] std::string outcome_name(Outcome outcome);

}  // namespace truetile::memory
