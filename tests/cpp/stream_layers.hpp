#pragma once

#include <cstddef>

#include "stream_memory.hpp"

namespace truetile::testing {

/// What an attention makes of the rows of a strip.
inline void attend(StreamMemory& m, std::size_t at, Plane& result) {
  const LayerRows& rows = m.strip.layers[at];
  const std::int64_t source = m.schedule.layers()[at].source;
  for (std::int64_t t = 0; t < result.frames; ++t) {
    const std::int64_t frame = m.chunk[at].read.begin + t;
    for (std::int64_t h = 0; h < result.rows; ++h) {
      Cell sum = mix(m.first() + at, m.look(source, frame, rows.out.begin + h));
      const StreamLayer& layer = m.schedule.layers()[at];
      const bool clip = layer.kind == LayerKind::kClipAttention;
      const Span seen = clip ? m.chunk[at].read : Span{frame, frame + 1};
      for (std::int64_t f = seen.begin; f < seen.end; ++f) {
        for (std::int64_t i = 0; i < rows.read.length(); ++i) sum = mix(sum, m.see(layer, f, i));
      }
      result.at(t, h) = sum;
    }
  }
}

/// What a convolution makes of the padded input, or of its source where that is not padded.
inline void convolve(StreamMemory& m, std::size_t at, Plane& result) {
  const StreamLayer& layer = m.schedule.layers()[at];
  const LayerRows& rows = m.strip.layers[at];
  const Span own = m.chunk[at].convolved(layer.kind);
  const std::int64_t first = m.chunk[at].read.begin == 0 && layer.kind != LayerKind::kConv ? 1 : 0;
  const std::int64_t low = layer.rows.lead(rows.out.begin);
  const auto padded = [&](std::int64_t t, std::int64_t h) {
    if (layer.padded) return m.cell(2 * at, rows.padded, t, h - low);
    return m.look(layer.source, own.begin + t, h);
  };
  const std::int64_t taps = layer.taps_t();
  for (std::int64_t h = 0; h < result.rows; ++h) {
    for (std::int64_t t = 0; t < result.frames; ++t) {
      const std::int64_t i = t - first;
      if (i < 0) continue;
      const std::int64_t row = rows.out.begin + h;
      Cell sum = 0;
      if (layer.kind == LayerKind::kConv) {
        const auto [read, phase] = moment(layer, m.chunk[at].out.begin + t);
        sum = convolved(m.first() + at, layer, taps, read - own.begin, row, padded);
        sum = mix(sum, static_cast<Cell>(phase));
      } else if (layer.kind == LayerKind::kTimeUp) {
        sum = mix(convolved(m.first() + at, layer, taps, i / 2, row, padded),
                  static_cast<Cell>(i % 2));
      } else {
        const std::int64_t stride = layer.kind == LayerKind::kTimeDown ? 2 : 1;
        sum = convolved(m.first() + at, layer, taps, i * stride, row, padded);
      }
      result.at(t, h) = sum;
    }
  }
}

}  // namespace truetile::testing
