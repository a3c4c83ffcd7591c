#include "core/stream/frames.hpp"

#include <algorithm>

#include "core/error.hpp"

namespace truetile {

Span LayerFrames::convolved(LayerKind kind) const noexcept {
  if (kind != LayerKind::kTimeUp && kind != LayerKind::kTimeDown) return read;
  return {std::max<std::int64_t>(1, read.begin), std::max<std::int64_t>(1, read.end)};
}

FramePlan::FramePlan(const Layers& layers, std::int64_t first, std::int64_t last,
                     std::int64_t frames, std::int64_t chunk)
    : layers_(layers.begin() + first, layers.begin() + last), first_(first) {
  // No clip is longer than 2^24 frames: beyond that the unit only has to stay too large.
  constexpr std::int64_t kLargest = std::int64_t{1} << 32;
  for (const StreamLayer& layer : layers_) {
    if (halves(layer.time())) unit_ = std::min(2 * unit_, kLargest);
    if (layer.time() == TimeRule::kHalveAll) alone_ = 0;
  }
  require_range("chunk", chunk, 0, std::int64_t{1} << 24);
  require((frames - alone_) % unit_ == 0, "frames", text(frames),
          text(alone_ > 0 ? "1 more than " : "", "a multiple of ", unit_));
  units_ = alone_ + (frames - alone_) / unit_;
  chunk_ = chunk > 0 ? chunk : units_;
  count_ = (units_ + chunk_ - 1) / chunk_;
}

std::vector<LayerFrames> FramePlan::chunk(std::int64_t index) const {
  const Ends before = ends(index - 1);
  const Ends after = ends(index);
  std::vector<LayerFrames> frames;
  frames.reserve(layers_.size());
  for (std::size_t at = 0; at < layers_.size(); ++at) {
    frames.push_back({{before[at].first, after[at].first}, {before[at].second, after[at].second}});
  }
  return frames;
}

FramePlan::Ends FramePlan::ends(std::int64_t index) const {
  const std::int64_t units = std::min((index + 1) * chunk_, units_);
  const std::int64_t start = units > 0 ? alone_ + (units - alone_) * unit_ : 0;
  Ends found;
  for (const StreamLayer& layer : layers_) {
    const std::int64_t at = layer.source - 1 - first_;
    const std::int64_t read = at >= 0 ? found[static_cast<std::size_t>(at)].second : start;
    found.emplace_back(read, layer.frames(read));
  }
  return found;
}

FrameLimits frame_limits(const FramePlan& plan) {
  const Layers& layers = plan.layers();
  FrameLimits limits;
  for (auto* list : {&limits.read, &limits.convolved, &limits.out}) list->resize(layers.size(), 0);
  for (std::int64_t index = 0; index < plan.count(); ++index) {
    const std::vector<LayerFrames> chunk = plan.chunk(index);
    for (std::size_t at = 0; at < layers.size(); ++at) {
      const std::int64_t convolved = chunk[at].convolved(layers[at].kind).length();
      limits.read[at] = std::max(limits.read[at], chunk[at].read.length());
      limits.convolved[at] = std::max(limits.convolved[at], convolved);
      limits.out[at] = std::max(limits.out[at], chunk[at].out.length());
    }
  }
  return limits;
}

std::vector<std::int64_t> chunk_lengths(const Layers& layers, std::int64_t first, std::int64_t last,
                                        std::int64_t frames) {
  const std::int64_t units = FramePlan(layers, first, last, frames, 0).units();
  std::vector<std::int64_t> lengths = {0};
  std::int64_t shortest = units;
  for (std::int64_t count = 2; count <= units; count += count / 2) {
    const std::int64_t length = (units + count - 1) / count;
    if (length < shortest) lengths.push_back(shortest = length);
  }
  if (shortest > 1) lengths.push_back(1);
  return lengths;
}

}  // namespace truetile
