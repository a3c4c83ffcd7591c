#include "core/stream/costs.hpp"

#include <algorithm>

#include "core/error.hpp"

namespace truetile {
namespace {

/// `20 passes (4 for moments only), 11 in strips of 64 rows or more`.
std::string describe_passes(const std::vector<Segment>& segments) {
  std::int64_t measured = 0;
  std::int64_t strips = 0;
  std::int64_t least = 0;
  for (const Segment& one : segments) {
    measured += one.keep ? 0 : 1;
    if (one.rows == 0) continue;
    least = strips == 0 ? one.rows : std::min(least, one.rows);
    ++strips;
  }
  std::string said = text(segments.size(), " passes");
  if (measured > 0) said += text(" (", measured, " for moments only)");
  if (strips > 0) said += text(", ", strips, " in strips of ", least, " rows or more");
  return said;
}

double elements(const Size& size) {
  return static_cast<double>(size[0] * size[1]) * static_cast<double>(size[2] * size[3]);
}

/// What blocks of queries take beyond their work: where a block is small, its calls take longer, or
/// the keys and values that each block reads.
double attention_seconds(const Schedule& schedule, std::size_t at, const Speed& speed) {
  const auto& [t, h, w, c] = schedule.made(at);
  const auto rows = static_cast<double>(schedule.queries(at));
  const double elements = 2 * static_cast<double>(schedule.tokens(at)) * static_cast<double>(c);
  const double work = elements * rows / speed.macs;
  const double read = elements * static_cast<double>(schedule.elem_bytes()) / speed.bytes;
  const double longest = std::max({work, read, speed.launch});
  return static_cast<double>(t * h * w) / rows * (longest - work);
}

}  // namespace

std::string StreamPlan::describe() const {
  if (segments.size() > 2) return describe_passes(segments);
  std::string listed;
  for (const Segment& one : segments) {
    if (!listed.empty()) listed += "; ";
    listed += text("layers ", one.first, "-", one.last - 1, " ");
    listed += one.rows > 0 ? text("in strips of ", one.rows, " rows") : "whole";
    if (one.chunk > 0) listed += text(", chunks of ", one.chunk);
  }
  return listed;
}

double segment_seconds(const Schedule& schedule, const Speed& speed) {
  double device = 0;
  double host = 0;
  for (std::size_t at = 0; at < schedule.layers().size(); ++at) {
    const StreamLayer& layer = schedule.layers()[at];
    const auto& [t, h, w, c] = schedule.made(at);
    const auto strips = static_cast<double>(schedule.calls()[at]);
    const auto chunks = static_cast<double>(schedule.chunk_count());
    const double made = elements(schedule.made(at));
    device += layer_macs(layer, schedule.tokens(at)) * made / speed.macs;
    if (layer.attends()) device += attention_seconds(schedule, at, speed);
    // What is made is written, read and written again with its bias.
    double moved = made * (layer.residual < 0 ? 3 : 4);
    // But for what need not be read back for the next layer, nor written before that.
    moved -= made * static_cast<double>(schedule.handover(at));
    const auto& [cached, rows, columns, channels] = schedule.caches()[at];
    if (layer.padded) moved += 2 * strips * elements({t, rows, columns, channels});
    // Kept rows and cached frames are copied to their buffer and back.
    moved += 4 * strips * elements(schedule.lines()[at]);
    moved += 4 * strips * chunks * elements(schedule.caches()[at]);
    device += moved * static_cast<double>(schedule.elem_bytes()) / speed.bytes;
    device += strips * chunks * speed.gap;
    host += strips * chunks * speed.launch;
  }
  return std::max(device, host);
}

std::vector<std::int64_t> strip_heights(const Layers& layers, std::int64_t first, std::int64_t last,
                                        const std::vector<Size>& sizes) {
  const RowPlan whole(layers, first, last, sizes, 0);
  const std::int64_t unit = whole.unit();
  const std::int64_t rows = sizes[static_cast<std::size_t>(last)][1] / unit;
  const std::int64_t shared = rows + whole.lookahead() / unit;
  std::vector<std::int64_t> heights = {0};
  std::int64_t lowest = rows;
  for (std::int64_t count = 2; count <= rows; count += std::max<std::int64_t>(1, count / 4)) {
    const std::int64_t height = (shared + count - 1) / count;
    if (height >= lowest) continue;
    lowest = height;
    heights.push_back(height * unit);
  }
  if (lowest > 1) heights.push_back(unit);
  return heights;
}

}  // namespace truetile
