#include "core/stream/passes.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <tuple>

#include "core/error.hpp"
#include "core/stream/values.hpp"

namespace truetile {
namespace {

using Values = std::set<std::int64_t>;

std::string listed(const std::vector<std::int64_t>& values) {
  std::string found;
  for (const std::int64_t value : values) found += text(found.empty() ? "" : ", ", value);
  return text("[", found, "]");
}

/// What segments from `at` on read of values made before each.
Values later_reads(const Layers& layers, const std::vector<Segment>& segments, std::size_t at) {
  Values found;
  for (; at < segments.size(); ++at) found.merge(outside_reads(layers, segments[at]));
  return found;
}

/// The latest value from which layers up to `end` need nothing but what is stored.
std::int64_t latest_start(const Layers& layers, std::int64_t end, const Values& stored) {
  std::int64_t first = end - 1;
  for (; first > 0; --first) {
    const Values reads = outside_reads(layers, {first, end});
    if (std::includes(stored.begin(), stored.end(), reads.begin(), reads.end())) break;
  }
  return first;
}

}  // namespace

std::vector<std::int64_t> pass_targets(const Layers& layers) {
  Values found = {static_cast<std::int64_t>(layers.size())};
  for (std::size_t index = 0; index < layers.size(); ++index) {
    const StreamLayer& layer = layers[index];
    if (layer.groups > 0 || layer.attends()) found.insert(layer.source);
    if (layer.attends()) found.insert(static_cast<std::int64_t>(index) + 1);
  }
  found.erase(0);
  return {found.begin(), found.end()};
}

std::set<std::int64_t> outside_reads(const Layers& layers, const Segment& segment) {
  Values found;
  for (std::int64_t index = segment.first; index < segment.last; ++index) {
    const StreamLayer& layer = layers[static_cast<std::size_t>(index)];
    for (const std::int64_t value : {layer.source, layer.residual}) {
      if (value > 0 && value <= segment.first) found.insert(value);
    }
  }
  return found;
}

bool has_attention(const Layers& layers, std::int64_t first, std::int64_t last) {
  return std::any_of(layers.begin() + first, layers.begin() + last,
                     [](const StreamLayer& layer) { return layer.attends(); });
}

std::vector<std::int64_t> query_choices(const Layers& layers, const std::vector<Size>& sizes,
                                        std::int64_t first, std::int64_t last) {
  std::int64_t most = 0;
  AttentionWay way = AttentionWay::kFused;
  for (std::int64_t index = first; index < last; ++index) {
    const StreamLayer& layer = layers[static_cast<std::size_t>(index)];
    if (!layer.attends()) continue;
    const std::int64_t seen = layer.tokens(sizes[static_cast<std::size_t>(index) + 1]);
    std::tie(most, way) = std::max(std::tuple(most, way), std::tuple(seen, layer.way));
  }
  return most > 0 ? attention_choices(most, way) : std::vector<std::int64_t>{0};
}

bool may_overwrite(const Layers& layers, const Size& clip, const Segment& one, std::int64_t value) {
  const std::vector<Size> sizes = value_sizes(layers, clip);
  if (value <= 0 || one.last == static_cast<std::int64_t>(layers.size())) return false;
  if (sizes[static_cast<std::size_t>(value)] != sizes[static_cast<std::size_t>(one.last)]) {
    return false;
  }
  const StreamLayer& last = layers[static_cast<std::size_t>(one.last) - 1];
  if (last.kind != LayerKind::kConv && !last.attends()) return false;  // it writes while it reads
  // Strips of one row end wherever any strips end.
  const std::int64_t rows = has_attention(layers, one.first, one.last) ? 0 : 1;
  return Schedule(layers, clip, {one.first, one.last, rows}, 1).reads_ahead(value);
}

std::int64_t plan_bytes(const Layers& layers, const Size& clip,
                        const std::vector<Segment>& segments, std::int64_t elem_bytes) {
  const std::vector<Size> sizes = value_sizes(layers, clip);
  std::map<std::int64_t, std::int64_t> live;
  std::int64_t peak = 0;
  for (std::size_t at = 0; at < segments.size(); ++at) {
    const Segment& one = segments[at];
    if (one.over >= 0) {
      live[one.last] = live.at(one.over);
      live.erase(one.over);
    } else if (one.keep && one.last < static_cast<std::int64_t>(layers.size())) {
      live[one.last] = store_bytes(sizes[static_cast<std::size_t>(one.last)], elem_bytes);
    }
    std::int64_t bytes = Schedule(layers, clip, one, elem_bytes).peak_bytes();
    for (const auto& [value, size] : live) bytes += size;
    peak = std::max(peak, bytes);
    const Values later = later_reads(layers, segments, at + 1);
    std::erase_if(live, [&later](const auto& item) { return !later.contains(item.first); });
  }
  return peak;
}

std::vector<Segment> make_passes(const Layers& layers, const Size& clip,
                                 const std::vector<std::int64_t>& stored, std::int64_t rows) {
  const std::vector<Size> sizes = value_sizes(layers, clip);
  const auto count = static_cast<std::int64_t>(layers.size());
  const Values kept(stored.begin(), stored.end());
  Values ends = kept;
  for (const std::int64_t target : pass_targets(layers)) ends.insert(target);
  require(*ends.begin() > 0 && *ends.rbegin() == count, "stored", listed(stored),
          "values of layers");
  Values have;
  std::vector<Segment> segments;
  for (const std::int64_t end : ends) {
    const std::int64_t first = latest_start(layers, end, have);
    const bool keep = kept.contains(end) || end == count;
    const bool whole = has_attention(layers, first, end);
    const std::int64_t height = sizes[static_cast<std::size_t>(end)][1];
    segments.push_back({first, end, whole ? 0 : std::min(rows, height), 0, keep});
    if (keep) have.insert(end);
  }
  for (std::size_t at = 0; at < segments.size(); ++at) {
    Segment& one = segments[at];
    const Values later = later_reads(layers, segments, at + 1);
    for (const std::int64_t value : outside_reads(layers, one)) {
      if (one.keep && !later.contains(value) && may_overwrite(layers, clip, one, value)) {
        one.over = value;
      }
    }
  }
  return segments;
}

}  // namespace truetile
