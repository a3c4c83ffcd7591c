#include <algorithm>
#include <cstddef>

#include "core/stream/plan.hpp"
#include "core/stream/values.hpp"

namespace truetile {
namespace {

bool is_time(const StreamLayer& layer) {
  return layer.kind == LayerKind::kTimeUp || layer.kind == LayerKind::kTimeDown;
}

bool resizes(const Layers& layers, std::size_t at) {
  const StreamLayer& layer = layers[at];
  // The patches that a program begins or ends with are no level of their own.
  const bool inner = at > 0 && at + 1 < layers.size();
  return is_time(layer) || layer.rows.up > 1 || layer.rows.stride > 1 ||
         layer.time_rule != TimeRule::kSame || (layer.kind == LayerKind::kShuffle && inner);
}

/// Whether the streamed side changes size between the cut and the next one that is clean.
bool resamples(const Layers& layers, const std::vector<bool>& clean, std::size_t cut,
               bool decoding) {
  if (is_time(decoding ? layers[cut] : layers[cut - 1])) return true;
  // A time layer stands before its upsampling and behind its downsampling: cut on its far side.
  const std::size_t other = decoding ? cut - 1 : cut;
  if (other < layers.size() && is_time(layers[other])) return false;
  for (std::size_t at = cut; at == cut || !clean[at]; at = decoding ? at + 1 : at - 1) {
    if (resizes(layers, decoding ? at : at - 1)) return true;
  }
  return false;
}

}  // namespace

std::vector<std::int64_t> cuts(const Layers& layers, const Size& clip) {
  const std::vector<Size> sizes = value_sizes(layers, clip);
  const std::vector<bool> clean = clean_cuts(layers);
  const bool decoding = sizes.back()[1] >= sizes.front()[1];
  std::vector<std::size_t> attention;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (layers[i].attends()) attention.push_back(i);
  }
  std::vector<std::int64_t> found;
  if (attention.empty()) found.push_back(0);
  std::size_t low = 1;
  std::size_t high = layers.size() - 1;
  if (decoding && !attention.empty()) low = attention.back() + 1;
  if (!decoding && !attention.empty()) high = attention.front();
  std::vector<std::size_t> allowed;
  for (std::size_t cut = low; cut <= high; ++cut) {
    if (clean[cut]) allowed.push_back(cut);
  }
  for (const std::size_t cut : allowed) {
    const bool edge = cut == (decoding ? allowed.front() : allowed.back());
    if (edge || resamples(layers, clean, cut, decoding))
      found.push_back(static_cast<std::int64_t>(cut));
  }
  return found;
}

}  // namespace truetile
