#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <utility>
#include <vector>

#include "stream_machine.hpp"

namespace truetile::testing {

/// Runs a schedule as the real executor does, on cells of 8 bytes: every window and padded input
/// lies in one workspace at the planned offset, so that a wrong lifetime destroys a cell that is
/// still read. `values` holds what other segments made, and takes what this one makes; `moments`
/// holds those of whole values, and takes those of what this one makes.
class Executor {
 public:
  Executor(const Schedule& schedule, std::vector<Plane>& values, std::vector<Cell> moments = {})
      : s_(schedule),
        values_(values),
        first_(static_cast<std::size_t>(schedule.segment().first)),
        workspace_(static_cast<std::size_t>(schedule.workspace_bytes() / 8), kGarbage),
        moments_(std::move(moments)),
        made_(schedule.layers().size(), 0) {
    for (std::size_t at = 0; at < s_.layers().size(); ++at) {
      lines_.push_back(reserve(s_.lines()[at]));
      caches_.push_back(reserve(s_.caches()[at]));
    }
    heap_.take(s_.workspace_bytes());
    heap_.take(landing());
  }

  void run() {
    for (std::int64_t i = 0; i < s_.strip_count(); ++i) {
      strip_ = s_.strip(i);
      for (std::int64_t j = 0; j < s_.chunk_count(); ++j) {
        chunk_ = s_.chunk(j);
        last_ = j + 1 == s_.chunk_count();
        for (std::size_t at = 0; at < s_.layers().size(); ++at) step(at);
      }
    }
  }

  [[nodiscard]] std::int64_t peak() const { return heap_.peak(); }
  /// Of what the last layer made.
  [[nodiscard]] Cell moments() const { return sum_; }
  /// Cells that each layer made, retained ones not counted.
  [[nodiscard]] const std::vector<std::int64_t>& made() const { return made_; }

 private:
  static constexpr Cell kGarbage = 0xdeadbeefULL;

  Plane reserve(const Size& size) {
    heap_.take(size[0] * size[1] * size[2] * size[3] * 8);
    Plane plane(size[0], size[1]);
    std::fill(plane.cells.begin(), plane.cells.end(), kGarbage);
    return plane;
  }

  /// Where parts of the clip arrive, in float32: as large as the largest.
  [[nodiscard]] std::int64_t landing() const {
    std::int64_t most = 0;
    for (std::int64_t i = 0; i < s_.strip_count(); ++i) {
      const StripRows strip = s_.strip(i);
      for (std::int64_t j = 0; j < s_.chunk_count(); ++j) {
        const std::vector<LayerFrames> chunk = s_.chunk(j);
        for (std::size_t at = 0; at < s_.layers().size(); ++at) {
          const StreamLayer& layer = s_.layers()[at];
          const auto cells = [&](const Span& frames, const Span& rows, std::int64_t row) {
            return frames.length() * rows.length() * row;
          };
          const Size& clip = s_.sizes()[0];
          const Size& size = s_.made(at);
          if (layer.source == 0) {
            most = std::max(most, cells(chunk[at].read, strip.layers[at].read, clip[2] * clip[3]));
          }
          if (layer.residual == 0) {
            most = std::max(most, cells(chunk[at].out, strip.layers[at].out, size[2] * size[3]));
          }
        }
      }
    }
    return most * 4;
  }

  Cell& cell(std::size_t buffer, std::int64_t rows, std::int64_t t, std::int64_t h) {
    return workspace_.at(static_cast<std::size_t>(s_.offsets()[buffer] / 8 + t * rows + h));
  }

  /// A cell of any value in this strip and chunk; frames and rows are global.
  Cell look(std::int64_t value, std::int64_t t, std::int64_t h) {
    const std::int64_t index = value - 1 - static_cast<std::int64_t>(first_);
    if (index < 0) return values_[static_cast<std::size_t>(value)].at(t, h);
    const auto at = static_cast<std::size_t>(index);
    const Span window = strip_.values[at].window;
    EXPECT_TRUE(h >= window.begin && h < window.end);
    return cell(2 * at + 1, window.length(), t - chunk_[at].out.begin, h - window.begin);
  }

  /// The same as a layer's norm makes it.
  Cell see(const StreamLayer& layer, std::int64_t t, std::int64_t h) {
    const Cell read = look(layer.source, t, h);
    if (layer.groups == 0) return read;
    return normed(layer, moments_.at(static_cast<std::size_t>(layer.source)), read);
  }

  void step(std::size_t at) {
    const StreamLayer& layer = s_.layers()[at];
    const LayerRows& rows = strip_.layers[at];
    const LayerFrames& frames = chunk_[at];
    Plane result(frames.out.length(), rows.out.length());
    if (rows.out.length() > 0) {
      const bool convolves = !layer.attends() && layer.kind != LayerKind::kShuffle;
      if (convolves && layer.padded) fill(at);
      count_call(at);
      if (convolves) convolve(at, result);
      made_[at] += result.frames * result.rows;
    }
    const Handover how = s_.handover(at);
    // From here on the window's memory is no longer anybody else's.
    if (how != Handover::kDirect) poison(at);
    if (layer.attends()) attend(at, result);
    if (how != Handover::kWindow && strip_.layers[at + 1].out.length() > 0) {
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
    const LayerRows& next = strip_.layers[at + 1];
    const StreamLayer& layer = s_.layers()[at + 1];
    const std::int64_t frames =
        layer.cached_frames() + chunk_[at + 1].convolved(layer.kind).length();
    for (std::int64_t t = 0; t < frames; ++t) {
      for (std::int64_t h = 0; h < next.padded; ++h) cell(2 * at + 2, next.padded, t, h) = kGarbage;
    }
    finish(at, waiting_);
    if (s_.handover(at) == Handover::kDirect) {
      give_calls();
    } else {
      write(at, waiting_);
    }
  }

  /// A cell of a direct value as the next layer's norm makes it: kept so, or new.
  Cell direct(std::size_t at, std::int64_t t, std::int64_t h) {
    const Span out = strip_.layers[at].out;
    const std::int64_t frame = t - chunk_[at].out.begin;
    if (h < out.begin) return lines_[at].at(t, h - strip_.values[at].window.begin);
    const StreamLayer& next = s_.layers()[at + 1];
    const Cell made = waiting_.at(frame, h - out.begin);
    if (next.groups == 0) return made;
    return normed(next, moments_.at(static_cast<std::size_t>(next.source)), made);
  }

  /// Of a direct value the next strip's rows stay as they lie in the padded input.
  void keep_direct(std::size_t at) {
    const LayerRows& next = strip_.layers[at + 1];
    const Span keep = strip_.values[at].keep;
    const std::int64_t cached = s_.layers()[at + 1].cached_frames();
    for (std::int64_t t = 0; t < chunk_[at].out.length(); ++t) {
      for (std::int64_t h = keep.begin; h < keep.end; ++h) {
        lines_[at].at(chunk_[at].out.begin + t, h - keep.begin) =
            cell(2 * at + 2, next.padded, cached + t, h - next.read.begin + next.top);
      }
    }
  }

  void count_call(std::size_t at) {
    const StreamLayer& layer = s_.layers()[at];
    const Size& size = s_.made(at);
    const std::int64_t row = size[2] * size[3] * 8;
    const std::int64_t out = chunk_[at].out.length() * strip_.layers[at].out.length() * row;
    if (layer.attends()) {
      const std::int64_t tokens = s_.tokens(at);
      const std::int64_t queries = s_.queries(at);
      std::int64_t values = tokens + 2 * attention_piece(tokens, queries);
      if (!layer.products) values += tokens + 2 * queries;
      call_.push_back((values * size[3] + queries * tokens) * 8 + queries * tokens * 4);
    } else {
      std::int64_t made = chunk_[at].convolved(layer.kind).length();
      if (layer.kind == LayerKind::kTimeUp) made *= 2;
      if (layer.kind == LayerKind::kTimeDown) made /= 2;
      if (layer.kind == LayerKind::kConv && halves(layer.time_rule)) made = chunk_[at].out.length();
      const std::int64_t columns = s_.sizes()[static_cast<std::size_t>(layer.source)][2];
      const std::int64_t read = chunk_[at].read.length() * strip_.layers[at].read.length() *
                                columns * layer.in_channels * 8;
      if (layer.kind != LayerKind::kShuffle) {
        const LayerRows& rows = strip_.layers[at];
        const bool upsampled = layer.rows.up > 1;
        const bool phases = upsampled || layer.up_t() > 1;
        const std::int64_t side = upsampled ? 4 * (size[2] / 2 + 1) * size[3] * 8 : row;
        const std::int64_t high = upsampled ? rows.padded - 1 : rows.out.length();
        call_.push_back(made * layer.up_t() * side * high);
        // The convolution's own scratch; no result here is so large that its bound counts.
        call_.push_back(round_up(call_.back(), kTorchBlock));
        if (!layer.padded) call_.push_back(read);
        if (layer.padded && layer.in_channels <= 4) {  // copied into blocks of pixels
          const std::int64_t cells = (layer.columns.padded(0, size[2]) + 16) * layer.in_channels;
          const std::int64_t frames =
              chunk_[at].convolved(layer.kind).length() + layer.cached_frames();
          call_.push_back(frames * rows.padded * cells * 8);
        }
        const bool placed = s_.segment().keep && first_ + at + 2 < s_.sizes().size();
        if (phases && at + 1 == s_.layers().size() && !placed) call_.push_back(out);
      } else if (at + 1 == s_.layers().size()) {
        call_.push_back(out);
      }
      if (layer.source == 0) {
        // Two steps of its conversion at once, in float32; then it may be all in a padded input.
        for (int i = 0; i < 2; ++i) heap_.take(read / 2);
        for (int i = 0; i < 2; ++i) heap_.give(read / 2);
        if (!layer.padded || layer.kind != LayerKind::kConv) call_.push_back(read);
      }
    }
    if (layer.averages()) call_.push_back(out);
    if (layer.residual == 0) call_.insert(call_.end(), 2, out / 2);
    for (const std::int64_t bytes : call_) heap_.take(bytes);
  }

  void attend(std::size_t at, Plane& result) {
    const LayerRows& rows = strip_.layers[at];
    const std::int64_t source = s_.layers()[at].source;
    for (std::int64_t t = 0; t < result.frames; ++t) {
      const std::int64_t frame = chunk_[at].read.begin + t;
      for (std::int64_t h = 0; h < result.rows; ++h) {
        Cell sum = mix(first_ + at, look(source, frame, rows.out.begin + h));
        const StreamLayer& layer = s_.layers()[at];
        const bool clip = layer.kind == LayerKind::kClipAttention;
        const Span seen = clip ? chunk_[at].read : Span{frame, frame + 1};
        for (std::int64_t f = seen.begin; f < seen.end; ++f) {
          for (std::int64_t i = 0; i < rows.read.length(); ++i) sum = mix(sum, see(layer, f, i));
        }
        result.at(t, h) = sum;
      }
    }
  }

  void convolve(std::size_t at, Plane& result) {
    const StreamLayer& layer = s_.layers()[at];
    const LayerRows& rows = strip_.layers[at];
    const Span own = chunk_[at].convolved(layer.kind);
    const std::int64_t first = chunk_[at].read.begin == 0 && layer.kind != LayerKind::kConv ? 1 : 0;
    const std::int64_t low = layer.rows.lead(rows.out.begin);
    const auto padded = [&](std::int64_t t, std::int64_t h) {
      if (layer.padded) return cell(2 * at, rows.padded, t, h - low);
      return look(layer.source, own.begin + t, h);
    };
    const std::int64_t taps = layer.taps_t();
    for (std::int64_t h = 0; h < result.rows; ++h) {
      for (std::int64_t t = 0; t < result.frames; ++t) {
        const std::int64_t i = t - first;
        if (i < 0) continue;
        const std::int64_t row = rows.out.begin + h;
        Cell sum = 0;
        if (layer.kind == LayerKind::kConv) {
          const auto [read, phase] = moment(layer, chunk_[at].out.begin + t);
          sum = convolved(first_ + at, layer, taps, read - own.begin, row, padded);
          sum = mix(sum, static_cast<Cell>(phase));
        } else if (layer.kind == LayerKind::kTimeUp) {
          sum = mix(convolved(first_ + at, layer, taps, i / 2, row, padded),
                    static_cast<Cell>(i % 2));
        } else {
          const std::int64_t stride = layer.kind == LayerKind::kTimeDown ? 2 : 1;
          sum = convolved(first_ + at, layer, taps, i * stride, row, padded);
        }
        result.at(t, h) = sum;
      }
    }
  }

  void poison(std::size_t at) {
    if (at + 1 == s_.layers().size()) return;
    const std::int64_t rows = strip_.values[at].window.length();
    for (std::int64_t t = 0; t < chunk_[at].out.length(); ++t) {
      for (std::int64_t h = 0; h < rows; ++h) cell(2 * at + 1, rows, t, h) = kGarbage;
    }
  }

  /// What is read while the window is written: a time layer's first frame, a shuffle's source, a
  /// residual.
  void finish(std::size_t at, Plane& result) {
    const StreamLayer& layer = s_.layers()[at];
    const bool time = layer.kind == LayerKind::kTimeUp || layer.kind == LayerKind::kTimeDown;
    const bool passes = time && chunk_[at].read.begin == 0;
    const Span out = strip_.layers[at].out;
    for (std::int64_t h = 0; h < result.rows; ++h) {
      if (passes) result.at(0, h) = look(layer.source, 0, out.begin + h);
      const auto value = [this](std::int64_t index) {
        return [this, index](std::int64_t t, std::int64_t row) { return look(index, t, row); };
      };
      for (std::int64_t t = 0; t < result.frames; ++t) {
        const std::int64_t frame = chunk_[at].out.begin + t;
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
    const LayerRows& rows = strip_.layers[at];
    const Span own = chunk_[at].convolved(layer.kind);
    const std::int64_t count = layer.cached_frames();
    const bool down = layer.kind == LayerKind::kTimeDown;
    const std::int64_t begin = layer.kind == LayerKind::kTimeUp ? 1 : 0;
    Plane& cache = caches_[at];
    if (own.length() == 0) {
      for (std::int64_t h = 0; down && !last_ && h < rows.padded; ++h) {
        cache.at(0, h) = look(layer.source, chunk_[at].read.end - 1, rows.read.begin + h);
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
          value = !inside ? 0 : passed ? direct(at - 1, frame, row) : see(layer, frame, row);
        } else if (down && chunk_[at].read.begin == 0) {
          value = look(layer.source, 0, rows.read.begin + h);
        } else if (down || own.begin > begin) {
          value = cache.at(t, h);
        }
        cell(2 * at, rows.padded, t, h) = value;
      }
    }
    if (how == Handover::kDirect) keep_direct(at - 1);
    for (std::int64_t t = 0; !last_ && t < count; ++t) {
      for (std::int64_t h = 0; h < rows.padded; ++h) {
        cache.at(t, h) = cell(2 * at, rows.padded, own.length() + t, h);
      }
    }
  }

  /// The window: retained rows, then new ones; what the next strip needs goes to the line buffer.
  void write(std::size_t at, const Plane& result) {
    const Span out = strip_.layers[at].out;
    const Span frames = chunk_[at].out;
    if (at + 1 == s_.layers().size()) {
      store(at, result);
    } else {
      const Span window = strip_.values[at].window;
      const Span keep = strip_.values[at].keep;
      for (std::int64_t t = 0; t < frames.length(); ++t) {
        for (std::int64_t h = window.begin; h < window.end; ++h) {
          cell(2 * at + 1, window.length(), t, h - window.begin) =
              h < out.begin ? lines_[at].at(frames.begin + t, h - window.begin)
                            : result.at(t, h - out.begin);
        }
        for (std::int64_t h = keep.begin; h < keep.end; ++h) {
          lines_[at].at(frames.begin + t, h - keep.begin) =
              cell(2 * at + 1, window.length(), t, h - window.begin);
        }
      }
    }
    give_calls();
  }

  void give_calls() {
    for (const std::int64_t bytes : call_) heap_.give(bytes);
    call_.clear();
  }

  /// The segment's own output: to its store, perhaps over another one, or only measured.
  void store(std::size_t at, const Plane& result) {
    const Segment& segment = s_.segment();
    for (std::int64_t t = 0; t < result.frames; ++t) {
      for (std::int64_t h = 0; h < result.rows; ++h) {
        const std::int64_t frame = chunk_[at].out.begin + t;
        const std::int64_t row = strip_.layers[at].out.begin + h;
        sum_ += result.at(t, h);
        if (segment.keep) values_[first_ + at + 1].at(frame, row) = result.at(t, h);
        if (segment.over < 0) continue;
        values_[static_cast<std::size_t>(segment.over)].at(frame, row) = kGarbage;
      }
    }
  }

  const Schedule& s_;
  std::vector<Plane>& values_;
  std::size_t first_;
  std::vector<Cell> workspace_;
  std::vector<Cell> moments_;
  Cell sum_ = 0;
  std::vector<std::int64_t> made_;
  std::vector<Plane> lines_;
  std::vector<Plane> caches_;
  std::vector<std::int64_t> call_;
  Plane waiting_{0, 0};  // what a layer made whose merge waits for the next one's input
  Heap heap_;
  StripRows strip_;
  std::vector<LayerFrames> chunk_;
  bool last_ = false;
};

}  // namespace truetile::testing
