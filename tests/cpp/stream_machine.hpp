#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <numeric>
#include <utility>
#include <vector>

#include "core/stream/schedule.hpp"
#include "core/stream/values.hpp"

namespace truetile::testing {

using Cell = std::uint64_t;

/// One value: a cell for each frame and row.
struct Plane {
  std::int64_t frames = 0;
  std::int64_t rows = 0;
  std::vector<Cell> cells;

  Plane() = default;
  Plane(std::int64_t t, std::int64_t h)
      : frames(t), rows(h), cells(static_cast<std::size_t>(t * h), 0) {}
  Cell& at(std::int64_t t, std::int64_t h) {
    return cells.at(static_cast<std::size_t>(t * rows + h));
  }
  [[nodiscard]] Cell at(std::int64_t t, std::int64_t h) const {
    return cells.at(static_cast<std::size_t>(t * rows + h));
  }
};

inline Cell mix(Cell seed, Cell value) {
  seed ^= value + 0x9e3779b97f4a7c15ULL + (seed << 6) + (seed >> 2);
  seed *= 0xbf58476d1ce4e5b9ULL;
  return seed ^ (seed >> 29);
}

/// All cells of a value, in whatever order they come: what stands for its moments.
inline Cell total(const Plane& plane) {
  return std::accumulate(plane.cells.begin(), plane.cells.end(), Cell{0});
}

/// A cell as a layer reads it: a group norm makes it depend on the whole value.
inline Cell normed(const StreamLayer& layer, Cell moments, Cell cell) {
  return layer.groups > 0 ? mix(moments, cell) : cell;
}

/// Cells that a layer reads, by frame and row; zeros are the caller's.
using Look = std::function<Cell(std::int64_t frame, std::int64_t row)>;

/// The frame of its padded input at which a convolution's frame `out` begins to read, and its phase
/// in time: the clip's frame 2n is the later repetition of frame n, 2n - 1 the earlier one.
inline std::pair<std::int64_t, std::int64_t> moment(const StreamLayer& layer, std::int64_t out) {
  if (layer.time_rule == TimeRule::kDouble) return {(out + 1) / 2, out % 2};
  if (layer.time_rule == TimeRule::kDoubleAll) return {out / 2, 1 - out % 2};
  return {halves(layer.time_rule) ? 2 * out : out, 0};
}

/// What a convolution makes of its row `out`; `padded` takes rows of the source, from the negative
/// ones of the zeros above on. Every cell and its place counts, and so does the phase.
inline Cell convolved(std::size_t index, const StreamLayer& layer, std::int64_t taps,
                      std::int64_t frame, std::int64_t out, const Look& padded) {
  Cell sum = mix(index + 1, static_cast<Cell>(out % layer.rows.up));
  for (std::int64_t t = 0; t < taps; ++t) {
    for (std::int64_t k = 0; k < layer.rows.taps(); ++k) {
      sum = mix(sum, padded(frame + t, layer.rows.lead(out) + k));
    }
  }
  return sum;
}

/// What a shuffle makes at (frame, row) of the rows and frames it reads: each and its place counts.
inline Cell shuffled(const Shuffle& rule, std::int64_t frame, std::int64_t row, const Look& look) {
  Span frames = {frame, frame + 1};
  std::int64_t phase = 0;
  if (rule.time == TimeRule::kDouble) {
    // Frames 2n - 1 and 2n are made of frame n.
    frames = {(frame + 1) / 2, (frame + 1) / 2 + 1};
    phase = frame > 0 ? 1 + frame % 2 : 0;
  }
  if (rule.time == TimeRule::kDoubleAll) {
    frames = {frame / 2, frame / 2 + 1};
    phase = 1 + frame % 2;
  }
  if (rule.time == TimeRule::kHalveAll) frames = {2 * frame, 2 * frame + 2};
  if (rule.time == TimeRule::kHalve && frame > 0) frames = {2 * frame - 1, 2 * frame + 1};
  Cell sum = mix(static_cast<Cell>(row % rule.up), static_cast<Cell>(phase));
  for (std::int64_t t = frames.begin; t < frames.end; ++t) {
    for (std::int64_t k = 0; k < rule.down; ++k) {
      sum = mix(sum, look(t, row / rule.up * rule.down + k));
    }
  }
  return sum;
}

/// The whole program, value by value, with nothing streamed: the reference.
inline std::vector<Plane> run_whole(const Layers& layers, const Plane& input) {
  std::vector<Plane> values = {input};
  for (std::size_t index = 0; index < layers.size(); ++index) {
    const StreamLayer& layer = layers[index];
    const Plane& x = values[static_cast<std::size_t>(layer.source)];
    Plane y(layer.frames(x.frames), layer.height(x.rows));
    const auto cells = [&values](std::int64_t value) {
      return [&plane = values[static_cast<std::size_t>(value)]](std::int64_t t, std::int64_t h) {
        return plane.at(t, h);
      };
    };
    // Frame of the padded input, whose own frames begin at `first`, and row of the source.
    const Cell moments = total(x);
    const auto look = [&](std::int64_t first) {
      return [&x, &layer, first, moments](std::int64_t frame, std::int64_t row) -> Cell {
        const std::int64_t t = frame - layer.cached_frames() + first;
        if (t < first || row < 0 || row >= x.rows) return 0;
        return normed(layer, moments, x.at(t, row));
      };
    };
    for (std::int64_t t = 0; t < y.frames; ++t) {
      for (std::int64_t h = 0; h < y.rows; ++h) {
        Cell cell = 0;
        if (layer.kind == LayerKind::kAttention) {
          cell = mix(index, x.at(t, h));
          for (std::int64_t i = 0; i < x.rows; ++i) {
            cell = mix(cell, normed(layer, moments, x.at(t, i)));
          }
        } else if (layer.kind == LayerKind::kClipAttention) {
          cell = mix(index, x.at(t, h));
          for (const Cell other : x.cells) cell = mix(cell, normed(layer, moments, other));
        } else if (layer.kind == LayerKind::kShuffle) {
          cell = shuffled(layer.shuffle, t, h, cells(layer.source));
        } else if (layer.kind == LayerKind::kConv) {
          const auto [frame, phase] = moment(layer, t);
          cell = convolved(index, layer, layer.taps_t(), frame, h, look(0));
          cell = mix(cell, static_cast<Cell>(phase));
        } else if (t == 0) {
          cell = x.at(0, h);
        } else if (layer.kind == LayerKind::kTimeUp) {
          const Cell pair = convolved(index, layer, 3, (t - 1) / 2, h, look(1));
          cell = mix(pair, static_cast<Cell>((t - 1) % 2));
        } else {
          cell = mix(index + 1, 0);
          for (std::int64_t i = 2 * t - 2; i <= 2 * t; ++i) cell = mix(cell, x.at(i, h));
        }
        if (layer.residual >= 0) {
          cell = mix(cell, shuffled(layer.shortcut, t, h, cells(layer.residual)));
        }
        y.at(t, h) = cell;
      }
    }
    values.push_back(std::move(y));
  }
  return values;
}

/// Counts bytes as torch's allocator does.
class Heap {
 public:
  void take(std::int64_t bytes) {
    live_ += round_up(bytes, kTorchBlock);
    peak_ = std::max(peak_, live_);
  }
  void give(std::int64_t bytes) { live_ -= round_up(bytes, kTorchBlock); }
  [[nodiscard]] std::int64_t peak() const { return peak_; }

 private:
  std::int64_t live_ = 0;
  std::int64_t peak_ = 0;
};

}  // namespace truetile::testing
