#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/stream/schedule.hpp"
#include "core/stream/values.hpp"

namespace truetile::testing {

/// Bytes of the tensors that torch allocates for one layer's call.
struct CallBytes {
  std::vector<std::int64_t> before = {};  ///< until the rest is allocated
  std::vector<std::int64_t> held = {};    ///< until what the call made is written
};

/// Where parts of the clip arrive, in float32: as large as the largest.
[[nodiscard]] inline std::int64_t landing_bytes(const Schedule& s) {
  const auto cells = [](const Span& frames, const Span& rows, const Size& size) {
    return frames.length() * rows.length() * size[2] * size[3];
  };
  std::int64_t most = 0;
  for (std::int64_t i = 0; i < s.strip_count(); ++i) {
    const StripRows strip = s.strip(i);
    for (std::int64_t j = 0; j < s.chunk_count(); ++j) {
      const std::vector<LayerFrames> chunk = s.chunk(j);
      for (std::size_t at = 0; at < s.layers().size(); ++at) {
        const LayerRows& rows = strip.layers[at];
        if (s.layers()[at].source == 0) {
          most = std::max(most, cells(chunk[at].read, rows.read, s.sizes()[0]));
        }
        if (s.layers()[at].residual == 0) {
          most = std::max(most, cells(chunk[at].out, rows.out, s.made(at)));
        }
      }
    }
  }
  return most * 4;
}

/// From where pixels depart, in float32: as large as the largest part of what a program makes.
[[nodiscard]] inline std::int64_t departure_bytes(const Schedule& s) {
  const std::size_t last = s.layers().size() - 1;
  const bool departs = s.segment().last == static_cast<std::int64_t>(s.sizes().size()) - 1;
  if (!departs || s.made(last)[3] > 4) return 0;
  std::int64_t frames = 0;
  for (std::int64_t j = 0; j < s.chunk_count(); ++j) {
    frames = std::max(frames, s.chunk(j)[last].out.length());
  }
  std::int64_t rows = 0;
  for (std::int64_t i = 0; i < s.strip_count(); ++i) {
    rows = std::max(rows, s.strip(i).layers[last].out.length());
  }
  return frames * rows * s.made(last)[2] * s.made(last)[3] * 4;
}

inline void add_attention(CallBytes& call, const Schedule& s, std::size_t at) {
  // What each way takes is compared with torch in tests/python/test_attention.py.
  const AttentionWay way = s.layers()[at].way;
  call.held.push_back(attention_bytes(s.tokens(at), s.queries(at), s.made(at)[3], 8, way));
}

inline void add_convolution(CallBytes& call, const Schedule& s, std::size_t at,
                            const LayerRows& rows, const LayerFrames& frames) {
  const StreamLayer& layer = s.layers()[at];
  const Size& size = s.made(at);
  std::int64_t made = frames.convolved(layer.kind).length();
  if (layer.kind == LayerKind::kTimeUp) made *= 2;
  if (layer.kind == LayerKind::kTimeDown) made /= 2;
  if (layer.kind == LayerKind::kConv && halves(layer.time_rule)) made = frames.out.length();
  const std::int64_t row = size[3] * 8;
  const std::int64_t side = layer.rows.up > 1 ? 4 * (size[2] / 2 + 1) * row : size[2] * row;
  const std::int64_t high = layer.rows.up > 1 ? rows.padded - 1 : rows.out.length();
  call.held.push_back(made * layer.up_t() * side * high);
  // The convolution's own scratch; no result here is so large that its bound counts.
  call.held.push_back(2 * round_up(call.held.back(), kTorchBlock));
  if (layer.padded && layer.in_channels <= 4) {  // copied into blocks of pixels
    const std::int64_t cells = (layer.columns.padded(0, size[2]) + 16) * layer.in_channels;
    const std::int64_t count = frames.convolved(layer.kind).length() + layer.cached_frames();
    call.held.push_back(count * rows.padded * cells * 8);
  }
}

/// What a call of layer `at` of a schedule allocates, on elements of 8 bytes.
[[nodiscard]] inline CallBytes call_bytes(const Schedule& s, std::size_t at, const LayerRows& rows,
                                          const LayerFrames& frames) {
  const StreamLayer& layer = s.layers()[at];
  const Size& size = s.made(at);
  const std::int64_t out = frames.out.length() * rows.out.length() * size[2] * size[3] * 8;
  const std::int64_t columns = s.sizes()[static_cast<std::size_t>(layer.source)][2];
  const std::int64_t read =
      frames.read.length() * rows.read.length() * columns * layer.in_channels * 8;
  const bool shuffles = layer.kind == LayerKind::kShuffle;
  const bool phases = layer.rows.up > 1 || layer.up_t() > 1;
  const bool placed =
      s.segment().keep && s.segment().last < static_cast<std::int64_t>(s.sizes().size()) - 1;
  CallBytes call;
  if (layer.attends()) {
    add_attention(call, s, at);
  } else {
    if (!shuffles) add_convolution(call, s, at, rows, frames);
    if (!shuffles && !layer.padded) call.held.push_back(read);
    const bool last = at + 1 == s.layers().size();
    if (last && (shuffles || (phases && !placed))) call.held.push_back(out);
    if (layer.source == 0) {
      // Two steps of its conversion at once, in float32; then it may be all in a padded input.
      call.before = {read / 2, read / 2};
      if (!layer.padded || layer.kind != LayerKind::kConv) call.held.push_back(read);
    }
  }
  if (layer.averages()) call.held.push_back(out);
  if (layer.residual == 0) call.held.insert(call.held.end(), 2, out / 2);
  return call;
}

}  // namespace truetile::testing
