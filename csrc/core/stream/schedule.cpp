#include "core/stream/schedule.hpp"

#include <algorithm>
#include <utility>

#include "core/error.hpp"
#include "core/stream/values.hpp"

namespace truetile {
namespace {

std::int64_t checked_bytes(std::int64_t elem_bytes) {
  require_range("elem_bytes", elem_bytes, 1, 8);
  return elem_bytes;
}

std::int64_t input_frames(const Layers& layers, const std::vector<Size>& sizes,
                          const Segment& segment) {
  const StreamLayer& layer = layers[static_cast<std::size_t>(segment.first)];
  return sizes[static_cast<std::size_t>(layer.source)][0];
}

}  // namespace

double layer_macs(const StreamLayer& layer, std::int64_t tokens) noexcept {
  if (layer.attends()) return static_cast<double>(2 * layer.in_channels + 2 * tokens);
  if (layer.kind == LayerKind::kShuffle) return 0;
  const std::int64_t taps = layer.taps_t() * layer.rows.taps() * layer.columns.taps();
  return static_cast<double>(taps * layer.in_channels);
}

Schedule::Schedule(const Layers& layers, const Size& clip, const Segment& segment,
                   std::int64_t elem_bytes, std::int64_t begin)
    : Schedule(layers, value_sizes(layers, clip), segment, checked_bytes(elem_bytes), begin) {}

Schedule::Schedule(const Layers& layers, std::vector<Size> sizes, const Segment& segment,
                   std::int64_t elem_bytes, std::int64_t begin)
    : segment_(segment),
      elem_bytes_(checked_bytes(elem_bytes)),
      sizes_(std::move(sizes)),
      row_plan_(layers, segment.first, segment.last, sizes_, segment.rows, begin),
      frame_plan_(layers, segment.first, segment.last, input_frames(layers, sizes_, segment),
                  segment.chunk),
      rows_(row_limits(row_plan_)),
      frames_(frame_limits(frame_plan_)),
      handovers_(handovers(frame_plan_.layers(), segment.first, row_plan_)) {
  const Layers& own = this->layers();
  for (std::size_t at = 0; at < own.size(); ++at) {
    const bool whole = !own[at].attends() || strip_count() == 1;
    const std::int64_t index = segment.first + static_cast<std::int64_t>(at);
    require(whole, "rows", text(segment.rows), text("0 (attention in layer ", index, ")"));
    const bool at_once = own[at].kind != LayerKind::kClipAttention || chunk_count() == 1;
    require(at_once, "chunk", text(segment.chunk), text("0 (clip attention in layer ", index, ")"));
  }
  for (std::size_t at = 0; at < own.size(); ++at) {
    const Size& size = made(at);
    const bool direct = handovers_[at] == Handover::kDirect;
    lines_.push_back({size[0], rows_.keep[at], direct ? padded(at + 1)[2] : size[2], size[3]});
    Size cache = padded(at);
    cache[0] = chunk_count() > 1 ? own[at].cached_frames() : 0;
    caches_.push_back(cache);
    line_bytes_ += store_bytes(lines_.back(), elem_bytes_);
    cache_bytes_ += store_bytes(caches_.back(), elem_bytes_);
    const LayerCall one = call(at);
    call_bytes_ = std::max(call_bytes_, one.bytes());
    landing_bytes_ = std::max(landing_bytes_, one.landing_bytes());
    if (one.last && gives_out()) departure_bytes_ = one.departure_bytes();
  }
  buffers_ = make_buffers();
  placement_ = place(buffers_);
}

std::int64_t Schedule::peak_bytes() const noexcept {
  const std::int64_t kept = line_bytes_ + cache_bytes_ + landing_bytes_ + departure_bytes_;
  return kept + round_up(placement_.bytes, kTorchBlock) + call_bytes_;
}

double Schedule::strip_macs(std::int64_t index) const {
  const StripRows rows = strip(index);
  double total = 0;
  for (std::size_t at = 0; at < layers().size(); ++at) {
    const auto& [t, h, w, c] = made(at);
    const double row = layer_macs(layers()[at], tokens(at)) * static_cast<double>(t * w * c);
    total += row * static_cast<double>(rows.layers[at].out.length());
  }
  return total;
}

const Size& Schedule::made(std::size_t at) const {
  return sizes_[static_cast<std::size_t>(segment_.first) + at + 1];
}

std::int64_t Schedule::tokens(std::size_t at) const { return layers()[at].tokens(made(at)); }

std::int64_t Schedule::queries(std::size_t at) const {
  const std::int64_t count = tokens(at);
  if (segment_.queries > 0) return std::min(segment_.queries, count);
  return attention_rows(count, layers()[at].way);
}

/// The largest padded input of a layer: cached frames, then those of a chunk.
Size Schedule::padded(std::size_t at) const {
  const StreamLayer& layer = layers()[at];
  const std::int64_t own = frames_.convolved[at];
  const std::int64_t columns = layer.columns.padded(0, made(at)[2]);
  return {own > 0 ? own + layer.cached_frames() : 0, rows_.padded[at], columns, layer.in_channels};
}

std::vector<Buffer> Schedule::make_buffers() const {
  const Layers& own = layers();
  std::vector<std::int64_t> last(own.size());
  for (std::size_t at = 0; at < own.size(); ++at) last[at] = static_cast<std::int64_t>(3 * at + 2);
  const auto use = [&last, this](std::int64_t value, std::int64_t moment) {
    const std::int64_t index = value - 1 - segment_.first;
    if (index < 0) return;
    auto& latest = last[static_cast<std::size_t>(index)];
    latest = std::max(latest, moment);
  };
  for (std::size_t at = 0; at < own.size(); ++at) {
    const auto fill = static_cast<std::int64_t>(3 * at);
    // Attention adds its input to its output; time layers copy their first frame over.
    const std::int64_t read = own[at].kind != LayerKind::kConv ? 2 : (own[at].padded ? 0 : 1);
    use(own[at].source, fill + read);
    // A residual is added when its sum is merged.
    use(own[at].residual, fill + (handovers_[at] == Handover::kWindow ? 2 : 3));
  }
  std::vector<Buffer> buffers;
  for (std::size_t at = 0; at < own.size(); ++at) {
    const auto fill = static_cast<std::int64_t>(3 * at);
    const std::int64_t input = own[at].padded ? value_bytes(padded(at), elem_bytes_) : 0;
    // The segment's own output goes to its store or to the host.
    const bool windowed = at + 1 < own.size() && handovers_[at] != Handover::kDirect;
    const std::int64_t rows = windowed ? rows_.window[at] : 0;
    const std::int64_t window =
        value_bytes({frames_.out[at], rows, made(at)[2], made(at)[3]}, elem_bytes_);
    buffers.push_back({.bytes = input, .begin = fill, .end = fill + 1});
    buffers.push_back({.bytes = window, .begin = fill + 2, .end = last[at]});
  }
  return buffers;
}

LayerCall Schedule::call(std::size_t at) const {
  const StreamLayer& layer = layers()[at];
  const Size& size = made(at);
  const std::int64_t columns = sizes_[static_cast<std::size_t>(layer.source)][2];
  return {.layer = layer,
          .elem_bytes = elem_bytes_,
          .read = {frames_.read[at], rows_.read[at], columns, layer.in_channels},
          .padded = padded(at),
          .made = {frames_.out[at], rows_.out[at], size[2], size[3]},
          .convolved = frames_.convolved[at],
          .tokens = tokens(at),
          .queries = queries(at),
          .last = at + 1 == layers().size(),
          .placed = segment_.keep && !gives_out()};
}

bool Schedule::gives_out() const noexcept {
  return segment_.last + 1 == static_cast<std::int64_t>(sizes_.size());
}

}  // namespace truetile
