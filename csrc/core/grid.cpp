#include "core/grid.hpp"

#include <algorithm>
#include <limits>

#include "core/error.hpp"

namespace truetile {
namespace {

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

std::int64_t even_count(std::int64_t size, std::int64_t tile, std::int64_t overlap) {
  return tile >= size ? 1 : ceil_div(size - overlap, tile - overlap);
}

void check_grid(std::int64_t size, std::int64_t tile, std::int64_t overlap) {
  require_range("size", size, 1, kMaxSize);
  require_range("tile", tile, 1, kMaxSize);
  require_range("overlap", overlap, 0, tile - 1, "tile", tile);
}

/// Blend zone between each tile and the next: centred on their overlap, disjoint.
std::vector<Span> blend_zones(const std::vector<Span>& outs) {
  std::int64_t widest = std::numeric_limits<std::int64_t>::max();
  for (std::size_t i = 0; i + 2 < outs.size(); ++i) {
    // Twice the centres of two neighbouring overlaps, so that everything stays an integer.
    const std::int64_t centre = outs[i + 1].begin + outs[i].end;
    const std::int64_t next = outs[i + 2].begin + outs[i + 1].end;
    widest = std::min(widest, (next - centre) / 2);
  }
  std::vector<Span> zones;
  zones.reserve(outs.size());
  for (std::size_t i = 0; i + 1 < outs.size(); ++i) {
    const Span overlap{outs[i + 1].begin, outs[i].end};
    const std::int64_t length = std::min(overlap.length(), widest);
    const std::int64_t begin = overlap.begin + (overlap.length() - length) / 2;
    zones.push_back({begin, begin + length});
  }
  return zones;
}

}  // namespace

Span AxisScale::span(Span latent, bool carried) const noexcept {
  const bool continues = carried && latent.begin > 0;
  return {continues ? pixels(latent.begin) : latent.begin * factor, pixels(latent.end)};
}

std::vector<double> axis_weights(const AxisTile& tile) {
  std::vector<double> weights(static_cast<std::size_t>(tile.use.length()), 1.0);
  for (std::int64_t i = 0; i < tile.lead; ++i) {
    weights[static_cast<std::size_t>(i)] =
        (static_cast<double>(i) + 0.5) / static_cast<double>(tile.lead);
  }
  const std::int64_t tail_begin = tile.use.length() - tile.tail;
  for (std::int64_t i = 0; i < tile.tail; ++i) {
    weights[static_cast<std::size_t>(tail_begin + i)] =
        1.0 - (static_cast<double>(i) + 0.5) / static_cast<double>(tile.tail);
  }
  return weights;
}

void check_scale(AxisScale scale) {
  require_range("factor", scale.factor, 1, kMaxFactor);
  require_range("first", scale.first, 1, scale.factor, "factor", scale.factor);
}

std::int64_t even_length(std::int64_t size, std::int64_t tile, std::int64_t overlap,
                         std::int64_t stretch) {
  check_grid(size, tile, overlap);
  require_range("stretch", stretch, 1000, kMaxStretch);
  const std::int64_t count = even_count(size, tile, overlap);
  if (count == 1) return size;
  const std::int64_t shortest = ceil_div(size + (count - 1) * overlap, count);
  // One below `tile`: the line buffers of the overlaps need room that a lone tile does not.
  return std::max(shortest, std::min(tile - 1, size * stretch / (1000 * count)));
}

std::vector<Span> even_grid(std::int64_t size, std::int64_t tile, std::int64_t overlap,
                            std::int64_t stretch) {
  const std::int64_t length = even_length(size, tile, overlap, stretch);
  const std::int64_t count = even_count(size, tile, overlap);
  std::vector<Span> spans;
  spans.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t begin = count == 1 ? 0 : i * (size - length) / (count - 1);
    spans.push_back({begin, begin + length});
  }
  return spans;
}

std::vector<Span> chunk_grid(std::int64_t size, std::int64_t chunk, std::int64_t multiple) {
  require_range("size", size, 1, kMaxSize);
  require_range("multiple", multiple, 1, kMaxSize);
  require_range("chunk", chunk, multiple, 2 * kMaxSize, "multiple", multiple);
  const std::int64_t units = ceil_div(size, multiple);
  const std::int64_t count = ceil_div(units, chunk / multiple);
  std::vector<Span> spans;
  spans.reserve(static_cast<std::size_t>(count));
  std::int64_t begin = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t end = std::min(size, multiple * ((i + 1) * units / count));
    spans.push_back({begin, end});
    begin = end;
  }
  return spans;
}

std::vector<AxisTile> axis_tiles(std::int64_t size, std::int64_t tile, std::int64_t overlap,
                                 AxisScale scale, bool carried, std::int64_t multiple,
                                 std::int64_t stretch) {
  check_scale(scale);
  if (carried) {
    require_range("overlap", overlap, 0, 0, " (carried)");
  } else if (scale.causal() && tile < size) {
    require_range("tile", tile, 2, kMaxSize, " (causal)");
    require_range("overlap", overlap, 1, tile - 1, "causal, tile", tile);
  }
  const std::vector<Span> spans =
      carried ? chunk_grid(size, tile, multiple) : even_grid(size, tile, overlap, stretch);
  std::vector<Span> outs;
  outs.reserve(spans.size());
  for (const Span span : spans) outs.push_back(scale.span(span, carried));
  const std::vector<Span> zones = blend_zones(outs);

  std::vector<AxisTile> tiles;
  tiles.reserve(spans.size());
  Span left{0, 0};  // no zone at the outer ends of the axis
  for (std::size_t i = 0; i < spans.size(); ++i) {
    const Span right = i < zones.size() ? zones[i] : Span{outs[i].end, outs[i].end};
    tiles.push_back({spans[i], outs[i], {left.begin, right.end}, left.length(), right.length()});
    left = right;
  }
  return tiles;
}

}  // namespace truetile
