#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <utility>
#include <vector>

#include "stream_calls.hpp"
#include "stream_layers.hpp"
#include "stream_machine.hpp"
#include "stream_memory.hpp"

namespace truetile::testing {

/// Runs a schedule as the real executor does, in the memory that it plans. `values` holds what
/// other segments made, and takes what this one makes; `moments` holds those of whole values, and
/// takes those of what this one makes.
class Executor {
 public:
  Executor(const Schedule& schedule, std::vector<Plane>& values, std::vector<Cell> moments = {})
      : s_(schedule),
        m_(schedule, values, std::move(moments)),
        made_(schedule.layers().size(), 0) {}

  void run() {
    for (std::int64_t i = 0; i < s_.strip_count(); ++i) {
      m_.strip = s_.strip(i);
      for (std::int64_t j = 0; j < s_.chunk_count(); ++j) {
        m_.chunk = s_.chunk(j);
        last_ = j + 1 == s_.chunk_count();
        for (std::size_t at = 0; at < s_.layers().size(); ++at) step(at);
      }
    }
  }

  [[nodiscard]] std::int64_t peak() const { return m_.heap.peak(); }
  /// Of what the last layer made.
  [[nodiscard]] Cell moments() const { return sum_; }
  /// Cells that each layer made, retained ones not counted.
  [[nodiscard]] const std::vector<std::int64_t>& made() const { return made_; }

 private:
  void step(std::size_t at) {
    const StreamLayer& layer = s_.layers()[at];
    const LayerRows& rows = m_.strip.layers[at];
    const LayerFrames& frames = m_.chunk[at];
    Plane result(frames.out.length(), rows.out.length());
    if (rows.out.length() > 0) {
      const bool convolves = !layer.attends() && layer.kind != LayerKind::kShuffle;
      if (convolves && layer.padded) fill(at);
      take_call(at);
      if (convolves) convolve(m_, at, result);
      made_[at] += result.frames * result.rows;
    }
    const Handover how = s_.handover(at);
    // From here on the window's memory is no longer anybody else's.
    if (how != Handover::kDirect) m_.poison_window(at);
    if (layer.attends()) attend(m_, at, result);
    if (how != Handover::kWindow && m_.strip.layers[at + 1].out.length() > 0) {
      waiting_ = std::move(result);
    } else if (how == Handover::kDirect) {
      ASSERT_EQ(result.rows, 0);
    } else {
      finish(at, result);
      write(at, result);
    }
  }

  /// Merges what layer `at` made, when the padded input of the next one is about to be written.
  void hand_over(std::size_t at) {
    const LayerRows& next = m_.strip.layers[at + 1];
    const StreamLayer& layer = s_.layers()[at + 1];
    const std::int64_t frames =
        layer.cached_frames() + m_.chunk[at + 1].convolved(layer.kind).length();
    m_.poison(2 * at + 2, frames, next.padded);
    finish(at, waiting_);
    if (s_.handover(at) == Handover::kDirect) {
      give_calls();
    } else {
      write(at, waiting_);
    }
  }

  /// A cell of a direct value as the next layer's norm makes it: kept so, or new.
  Cell direct(std::size_t at, std::int64_t t, std::int64_t h) {
    const Span out = m_.strip.layers[at].out;
    const std::int64_t frame = t - m_.chunk[at].out.begin;
    if (h < out.begin) return m_.lines[at].at(t, h - m_.strip.values[at].window.begin);
    return m_.normed(s_.layers()[at + 1], waiting_.at(frame, h - out.begin));
  }

  /// Of a direct value the next strip's rows stay as they lie in the padded input.
  void keep_direct(std::size_t at) {
    const LayerRows& next = m_.strip.layers[at + 1];
    const Span keep = m_.strip.values[at].keep;
    const std::int64_t cached = s_.layers()[at + 1].cached_frames();
    for (std::int64_t t = 0; t < m_.chunk[at].out.length(); ++t) {
      for (std::int64_t h = keep.begin; h < keep.end; ++h) {
        m_.lines[at].at(m_.chunk[at].out.begin + t, h - keep.begin) =
            m_.cell(2 * at + 2, next.padded, cached + t, h - next.read.begin + next.top);
      }
    }
  }

  void take_call(std::size_t at) {
    const CallBytes call = call_bytes(s_, at, m_.strip.layers[at], m_.chunk[at]);
    for (const std::int64_t bytes : call.before) m_.heap.take(bytes);
    for (const std::int64_t bytes : call.before) m_.heap.give(bytes);
    for (const std::int64_t bytes : call.held) m_.heap.take(bytes);
    call_.insert(call_.end(), call.held.begin(), call.held.end());
  }

  /// What is read while the window is written: a time layer's first frame, a shuffle's source, a
  /// residual.
  void finish(std::size_t at, Plane& result) {
    const StreamLayer& layer = s_.layers()[at];
    const bool time = layer.kind == LayerKind::kTimeUp || layer.kind == LayerKind::kTimeDown;
    const bool passes = time && m_.chunk[at].read.begin == 0;
    const Span out = m_.strip.layers[at].out;
    for (std::int64_t h = 0; h < result.rows; ++h) {
      if (passes) result.at(0, h) = m_.look(layer.source, 0, out.begin + h);
      const auto value = [this](std::int64_t index) {
        return [this, index](std::int64_t t, std::int64_t row) { return m_.look(index, t, row); };
      };
      for (std::int64_t t = 0; t < result.frames; ++t) {
        const std::int64_t frame = m_.chunk[at].out.begin + t;
        if (layer.kind == LayerKind::kShuffle) {
          result.at(t, h) = shuffled(layer.shuffle, frame, out.begin + h, value(layer.source));
        }
        if (layer.residual < 0) continue;
        const Cell added = shuffled(layer.shortcut, frame, out.begin + h, value(layer.residual));
        result.at(t, h) = mix(result.at(t, h), added);
      }
    }
  }

  /// The padded input with its cached frames, and the cache for the next chunk.
  void fill(std::size_t at) {
    const StreamLayer& layer = s_.layers()[at];
    const LayerRows& rows = m_.strip.layers[at];
    const Span own = m_.chunk[at].convolved(layer.kind);
    const std::int64_t count = layer.cached_frames();
    const bool down = layer.kind == LayerKind::kTimeDown;
    const std::int64_t begin = layer.kind == LayerKind::kTimeUp ? 1 : 0;
    Plane& cache = m_.caches[at];
    if (own.length() == 0) {
      for (std::int64_t h = 0; down && !last_ && h < rows.padded; ++h) {
        cache.at(0, h) = m_.look(layer.source, m_.chunk[at].read.end - 1, rows.read.begin + h);
      }
      return;
    }
    const Handover how = at > 0 ? s_.handover(at - 1) : Handover::kWindow;
    if (how != Handover::kWindow) hand_over(at - 1);
    const std::int64_t real = rows.padded - rows.top - rows.bottom;
    for (std::int64_t t = 0; t < count + own.length(); ++t) {
      for (std::int64_t h = 0; h < rows.padded; ++h) {
        const std::int64_t row = rows.read.begin + h - rows.top;
        Cell value = 0;
        if (t >= count) {
          const bool inside = h >= rows.top && h < rows.top + real;
          const std::int64_t frame = own.begin + t - count;
          const bool passed = how == Handover::kDirect;
          value = !inside ? 0 : passed ? direct(at - 1, frame, row) : m_.see(layer, frame, row);
        } else if (down && m_.chunk[at].read.begin == 0) {
          value = m_.look(layer.source, 0, rows.read.begin + h);
        } else if (down || own.begin > begin) {
          value = cache.at(t, h);
        }
        m_.cell(2 * at, rows.padded, t, h) = value;
      }
    }
    if (how == Handover::kDirect) keep_direct(at - 1);
    for (std::int64_t t = 0; !last_ && t < count; ++t) {
      for (std::int64_t h = 0; h < rows.padded; ++h) {
        cache.at(t, h) = m_.cell(2 * at, rows.padded, own.length() + t, h);
      }
    }
  }

  /// The window: retained rows, then new ones; what the next strip needs goes to the line buffer.
  void write(std::size_t at, const Plane& result) {
    const Span out = m_.strip.layers[at].out;
    const Span frames = m_.chunk[at].out;
    if (at + 1 == s_.layers().size()) {
      store(at, result);
    } else {
      const Span window = m_.strip.values[at].window;
      const Span keep = m_.strip.values[at].keep;
      for (std::int64_t t = 0; t < frames.length(); ++t) {
        for (std::int64_t h = window.begin; h < window.end; ++h) {
          m_.cell(2 * at + 1, window.length(), t, h - window.begin) =
              h < out.begin ? m_.lines[at].at(frames.begin + t, h - window.begin)
                            : result.at(t, h - out.begin);
        }
        for (std::int64_t h = keep.begin; h < keep.end; ++h) {
          m_.lines[at].at(frames.begin + t, h - keep.begin) =
              m_.cell(2 * at + 1, window.length(), t, h - window.begin);
        }
      }
    }
    give_calls();
  }

  void give_calls() {
    for (const std::int64_t bytes : call_) m_.heap.give(bytes);
    call_.clear();
  }

  /// The segment's own output: to its store, perhaps over another one, or only measured.
  void store(std::size_t at, const Plane& result) {
    const Segment& segment = s_.segment();
    for (std::int64_t t = 0; t < result.frames; ++t) {
      for (std::int64_t h = 0; h < result.rows; ++h) {
        const std::int64_t frame = m_.chunk[at].out.begin + t;
        const std::int64_t row = m_.strip.layers[at].out.begin + h;
        sum_ += result.at(t, h);
        if (segment.keep) m_.values[m_.first() + at + 1].at(frame, row) = result.at(t, h);
        if (segment.over < 0) continue;
        m_.values[static_cast<std::size_t>(segment.over)].at(frame, row) = StreamMemory::kGarbage;
      }
    }
  }

  const Schedule& s_;
  StreamMemory m_;
  Cell sum_ = 0;
  std::vector<std::int64_t> made_;
  std::vector<std::int64_t> call_;  // bytes of layers whose calls have not ended
  Plane waiting_{0, 0};             // what a layer made whose merge waits for the next one's input
  bool last_ = false;
};

}  // namespace truetile::testing
