#include "core/stream/handover.hpp"

#include <algorithm>

namespace truetile {
namespace {

bool joins(const StreamLayer& layer, const StreamLayer& next, std::int64_t value) {
  const bool plain = layer.rows.up == 1 && layer.columns.up == 1 &&
                     layer.time() == TimeRule::kSame && next.time() == TimeRule::kSame;
  const bool own_size = layer.residual_channels == 0 && layer.shortcut == Shuffle{};
  // A stride beyond the kernel could leave out rows that were just made.
  return layer.kind == LayerKind::kConv && plain && own_size && next.kind == LayerKind::kConv &&
         next.padded && next.source == value && next.rows.stride <= next.rows.taps();
}

bool reads_all(const StreamLayer& layer) {
  return layer.rows.stride == 1 && layer.columns.stride == 1;
}

bool reads(const StreamLayer& layer, std::int64_t value) {
  return layer.source == value || layer.residual == value;
}

/// Whether a strip puts all new rows of layer `at`, and those kept for it, into the next input.
bool taken(const StripRows& strip, std::size_t at) {
  const LayerRows& next = strip.layers[at + 1];
  if (next.out.length() == 0) return strip.layers[at].out.length() == 0;
  return next.read == strip.values[at].window;
}

}  // namespace

std::vector<Handover> handovers(const Layers& layers, std::int64_t first, const RowPlan& rows) {
  std::vector<Handover> found(layers.size(), Handover::kWindow);
  for (std::size_t at = 0; at + 1 < layers.size(); ++at) {
    const std::int64_t value = first + static_cast<std::int64_t>(at) + 1;
    if (!joins(layers[at], layers[at + 1], value)) continue;
    const auto readers = std::count_if(layers.begin(), layers.end(),
                                       [&](const auto& layer) { return reads(layer, value); });
    const bool alone = readers == 1 && layers[at + 1].residual != value;
    found[at] = alone && reads_all(layers[at + 1]) ? Handover::kDirect : Handover::kJoined;
  }
  for (const Span& run : rows.distinct()) {
    const StripRows strip = rows.strip(run.begin);
    for (std::size_t at = 0; at + 1 < layers.size(); ++at) {
      if (found[at] == Handover::kDirect && !taken(strip, at)) found[at] = Handover::kJoined;
    }
  }
  return found;
}

}  // namespace truetile
