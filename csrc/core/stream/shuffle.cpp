#include "core/stream/shuffle.hpp"

#include <algorithm>

namespace truetile {

std::int64_t frames_made(TimeRule rule, std::int64_t n) noexcept {
  const std::int64_t alone = rule == TimeRule::kDouble || rule == TimeRule::kHalve ? 1 : 0;
  if (doubles(rule)) return std::max<std::int64_t>(0, 2 * n - alone);
  return halves(rule) ? (n + alone) / 2 : n;
}

Span frames_read(TimeRule rule, Span made) noexcept {
  const auto edge = [rule](std::int64_t frame) {
    if (doubles(rule)) return (frame + 1) / 2;
    if (halves(rule) && frame > 0) return 2 * frame - (rule == TimeRule::kHalve ? 1 : 0);
    return frame;
  };
  return {edge(made.begin), edge(made.end)};
}

std::int64_t Shuffle::begin(std::int64_t out, std::int64_t n) const noexcept {
  return out >= size(n) ? n : rows({out, out}).begin;
}

std::int64_t Shuffle::end(std::int64_t out, std::int64_t n) const noexcept {
  return out >= size(n) ? n : reach(out);
}

std::int64_t Shuffle::reach(std::int64_t out) const noexcept { return rows({out, out}).end; }

Span Shuffle::rows(Span out) const noexcept {
  return {floor_div(out.begin * down, up), floor_div(out.end * down + up - 1, up)};
}

std::int64_t Shuffle::averaged(std::int64_t channels, std::int64_t out_channels) const noexcept {
  const std::int64_t pixels = down * down * (halves(time) ? 2 : 1);
  return std::max<std::int64_t>(1, channels * pixels / out_channels);
}

}  // namespace truetile
