#include "core/stream/pass_options.hpp"

#include <algorithm>

#include "core/stream/passes.hpp"

namespace truetile {

PassOptions::PassOptions(const Layers& layers, const std::vector<Size>& sizes,
                         std::int64_t elem_bytes, const Speed& speed)
    : layers_(layers), sizes_(sizes), elem_bytes_(elem_bytes), speed_(speed) {}

const PassOption* PassOptions::fastest(const Segment& one, std::int64_t room) {
  const PassOption* best = nullptr;
  const auto consider = [&best, room](const PassOption& found) {
    if (found.bytes > room) return;
    if (best == nullptr || found.seconds < best->seconds) best = &found;
  };
  if (has_attention(layers_, one.first, one.last)) {
    for (const std::int64_t queries : query_choices(layers_, sizes_, one.first, one.last)) {
      consider(option(one, 0, 0, queries));
    }
    return best;
  }
  const std::vector<std::int64_t> tallest = strip_heights(layers_, one.first, one.last, sizes_);
  const std::int64_t frames = source_size(one.first)[0];
  for (const std::int64_t chunk : chunk_lengths(layers_, one.first, one.last, frames)) {
    // Shorter strips need less.
    const auto at = std::partition_point(tallest.begin(), tallest.end(), [&](std::int64_t rows) {
      return option(one, rows, chunk, 0).bytes > room;
    });
    if (at != tallest.end()) consider(option(one, *at, chunk, 0));
  }
  return best;
}

const PassOption& PassOptions::option(Segment segment, std::int64_t rows, std::int64_t chunk,
                                      std::int64_t queries) {
  segment.rows = rows;
  segment.chunk = chunk;
  segment.queries = queries;
  const Key key = {segment.first, segment.last, rows, chunk, queries, segment.keep};
  const auto known = options_.find(key);
  if (known != options_.end()) return known->second;
  const Schedule schedule(layers_, sizes_, segment, elem_bytes_);
  const PassOption found = {segment, schedule.peak_bytes(), segment_seconds(schedule, speed_)};
  return options_.emplace(key, found).first->second;
}

const Size& PassOptions::source_size(std::int64_t first) const {
  return sizes_[static_cast<std::size_t>(layers_[static_cast<std::size_t>(first)].source)];
}

}  // namespace truetile
