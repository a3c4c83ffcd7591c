#include "core/stream/shuffle.hpp"

#include <algorithm>

namespace truetile {

std::int64_t frames_made(TimeRule rule, std::int64_t n) noexcept {
  if (rule == TimeRule::kDouble) return n > 0 ? 2 * n - 1 : 0;
  return rule == TimeRule::kHalve ? (n + 1) / 2 : n;
}

Span frames_read(TimeRule rule, Span made) noexcept {
  const auto edge = [rule](std::int64_t frame) {
    if (rule == TimeRule::kDouble) return (frame + 1) / 2;
    return rule == TimeRule::kHalve && frame > 0 ? 2 * frame - 1 : frame;
  };
  return {edge(made.begin), edge(made.end)};
}

std::int64_t Shuffle::begin(std::int64_t out, std::int64_t n) const noexcept {
  return out >= size(n) ? n : rows({out, out}).begin;
}

std::int64_t Shuffle::end(std::int64_t out, std::int64_t n) const noexcept {
  return out >= size(n) ? n : rows({0, out}).end;
}

Span Shuffle::rows(Span out) const noexcept {
  return {out.begin * down / up, (out.end * down + up - 1) / up};
}

std::int64_t Shuffle::averaged(std::int64_t channels, std::int64_t out_channels) const noexcept {
  const std::int64_t pixels = down * down * (time == TimeRule::kHalve ? 2 : 1);
  return std::max<std::int64_t>(1, channels * pixels / out_channels);
}

}  // namespace truetile
