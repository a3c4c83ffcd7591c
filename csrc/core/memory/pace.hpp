#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "core/memory/phase.hpp"

namespace truetile::memory {

/// How far apart samples lie: one interval, and two while nothing moves.
///
/// Waking a thread and reading the driver from cold caches is what a sample costs, so that half of
/// them is the only way to halve it. What moves is judged by the channel that nobody else marks:
/// the device's used bytes, or where there is no device the memory of the process.
class Pace {
 public:
  static constexpr std::int64_t kStill = 25;  ///< samples without a change before it slows down
  static constexpr std::int64_t kMoved = kMiB;

  /// After a sample.
  void add(const Sample& sample) noexcept {
    const Bytes& driver = sample.values[static_cast<std::size_t>(Channel::driver_used)];
    const Bytes& seen = driver ? driver : sample.values[static_cast<std::size_t>(Channel::ram)];
    const bool still =
        seen.has_value() == last_.has_value() && (!seen || std::abs(*seen - *last_) < kMoved);
    if (!still) last_ = seen;
    still_ = still ? std::min(still_ + 1, kStill) : 0;
  }

  /// Something begins: back to every interval.
  void hurry() noexcept { still_ = 0; }

  /// Intervals until the next sample, 1 or 2.
  [[nodiscard]] int intervals() const noexcept { return still_ < kStill ? 1 : 2; }

 private:
  Bytes last_;
  std::int64_t still_ = 0;
};

}  // namespace truetile::memory
