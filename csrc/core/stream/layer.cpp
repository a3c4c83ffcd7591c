#include "core/stream/layer.hpp"

#include <algorithm>

namespace truetile {

std::int64_t AxisRule::lead(std::int64_t out) const noexcept {
  return up > 1 ? floor_div(out + 1, 2) - 1 : out * stride - before;
}

std::int64_t AxisRule::size(std::int64_t n) const noexcept {
  const std::int64_t room = n * up + before + after - kernel;
  return room >= 0 ? room / stride + 1 : 0;
}

std::int64_t AxisRule::begin(std::int64_t out, std::int64_t n) const noexcept {
  if (out >= size(n)) return n;
  return std::clamp<std::int64_t>(lead(out), 0, n);
}

std::int64_t AxisRule::end(std::int64_t out, std::int64_t n) const noexcept {
  if (out <= 0) return 0;
  if (out >= size(n)) return n;
  return std::clamp<std::int64_t>(reach(out), 0, n);
}

std::int64_t StreamLayer::cached_frames() const noexcept {
  return kind == LayerKind::kTimeDown ? 1 : taps_t() - 1;
}

TimeRule StreamLayer::time() const noexcept {
  if (kind == LayerKind::kTimeUp) return TimeRule::kDouble;
  if (kind == LayerKind::kTimeDown) return TimeRule::kHalve;
  return kind == LayerKind::kShuffle ? shuffle.time : time_rule;
}

std::int64_t StreamLayer::frames(std::int64_t n) const noexcept { return frames_made(time(), n); }

std::int64_t StreamLayer::begin(std::int64_t out, std::int64_t n) const noexcept {
  return kind == LayerKind::kShuffle ? shuffle.begin(out, n) : rows.begin(out, n);
}

std::int64_t StreamLayer::end(std::int64_t out, std::int64_t n) const noexcept {
  return kind == LayerKind::kShuffle ? shuffle.end(out, n) : rows.end(out, n);
}

std::int64_t StreamLayer::reach(std::int64_t out) const noexcept {
  return kind == LayerKind::kShuffle ? shuffle.reach(out) : rows.reach(out);
}

std::int64_t StreamLayer::height(std::int64_t n) const noexcept {
  return kind == LayerKind::kShuffle ? shuffle.size(n) : rows.size(n);
}

std::int64_t StreamLayer::width(std::int64_t n) const noexcept {
  return kind == LayerKind::kShuffle ? shuffle.size(n) : columns.size(n);
}

bool StreamLayer::averages() const noexcept {
  return residual >= 0 && residual_channels > 0 &&
         shortcut.averaged(residual_channels, out_channels) > 1;
}

}  // namespace truetile
