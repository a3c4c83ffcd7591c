#pragma once

#include <cstdint>

#include "core/grid.hpp"

namespace truetile {

/// What becomes of frames. The first one stands alone; those behind it are doubled or halved. A
/// clip that goes on from another one has no such first frame: there all frames are.
enum class TimeRule : std::uint8_t {
  kSame = 0,
  kDouble = 1,
  kHalve = 2,
  kDoubleAll = 3,
  kHalveAll = 4
};

[[nodiscard]] constexpr bool doubles(TimeRule rule) noexcept {
  return rule == TimeRule::kDouble || rule == TimeRule::kDoubleAll;
}
[[nodiscard]] constexpr bool halves(TimeRule rule) noexcept {
  return rule == TimeRule::kHalve || rule == TimeRule::kHalveAll;
}

/// `a / b` rounded down, for b > 0: rows before the first one are negative.
[[nodiscard]] constexpr std::int64_t floor_div(std::int64_t a, std::int64_t b) noexcept {
  return a / b - (a % b < 0 ? 1 : 0);
}

/// Frames made of `n` frames.
[[nodiscard]] std::int64_t frames_made(TimeRule rule, std::int64_t n) noexcept;
/// The frames of which frames `made` are made, where both begin and end with whole pairs.
[[nodiscard]] Span frames_read(TimeRule rule, Span made) noexcept;

/// How a value is read without weights: pixels come out of its channels or go into them.
///
/// Each row and column becomes `up` ones, or `down` of them become one; frames follow `time`. What
/// channels they are, and whether they are repeated or averaged, is not a matter of geometry.
struct Shuffle {
  std::int64_t up = 1;
  std::int64_t down = 1;
  TimeRule time = TimeRule::kSame;

  /// Rows or columns made of `n`.
  [[nodiscard]] std::int64_t size(std::int64_t n) const noexcept { return n * up / down; }
  /// The first of `n` rows that row `out` or a later one is made of; n when there is none.
  [[nodiscard]] std::int64_t begin(std::int64_t out, std::int64_t n) const noexcept;
  /// How many of `n` rows are needed for rows [0, out); all of them for the last.
  [[nodiscard]] std::int64_t end(std::int64_t out, std::int64_t n) const noexcept;
  /// Rows that rows `out` are made of, without those that no whole row is left for.
  [[nodiscard]] Span rows(Span out) const noexcept;
  /// Rows needed for the rows before `out`, as if there were no first and no last one.
  [[nodiscard]] std::int64_t reach(std::int64_t out) const noexcept;
  /// Values that become one, where `channels` of the source become `out_channels`; at least 1.
  [[nodiscard]] std::int64_t averaged(std::int64_t channels,
                                      std::int64_t out_channels) const noexcept;
  bool operator==(const Shuffle&) const = default;
};

}  // namespace truetile
