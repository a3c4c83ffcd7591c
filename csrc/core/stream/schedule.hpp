#pragma once

#include <cstdint>
#include <vector>

#include "core/stream/frames.hpp"
#include "core/stream/handover.hpp"
#include "core/stream/layer.hpp"
#include "core/stream/layer_call.hpp"
#include "core/stream/placement.hpp"
#include "core/stream/rows.hpp"

namespace truetile {

/// Layers [first, last) in strips of `rows` output rows and chunks of `chunk`; 0 is whole. What the
/// last layer makes is stored for later segments if `keep`, else only its moments are gathered.
struct Segment {
  std::int64_t first = 0;
  std::int64_t last = 1;
  std::int64_t rows = 0;
  std::int64_t chunk = 0;
  bool keep = true;
  std::int64_t over = -1;    ///< the stored value in whose memory it is written, row by row, or -1
  std::int64_t queries = 0;  ///< of an attention scored at once; 0: `attention_rows`
  bool operator==(const Segment&) const = default;
};

/// Multiply-adds for one element of a layer's output; `tokens` of a frame for attention.
[[nodiscard]] double layer_macs(const StreamLayer& layer, std::int64_t tokens) noexcept;

/// One segment of a program as strips of rows and chunks of frames, with its memory to the byte.
///
/// Order of work: strips outside, chunks inside, layers innermost. What lives how long:
/// - a window (one value in one strip and chunk), from its layer to its last reader, and a padded
///   input of a convolution, while that layer runs: in one workspace with fixed offsets;
/// - a line buffer (the rows a value keeps, all frames of the clip; of a direct value those of the
///   next layer's padded input) and the cached frames of a causal convolution (its padded rows of
///   one strip): the whole segment;
/// - call bytes, what torch allocates within one layer: a convolution's result, attention's scores;
/// - where parts of the clip land that come from the host, and where pixels lie that depart to it:
///   from the first ones to the end.
/// Every strip meets every chunk, so that the largest rows and the largest frames meet too.
class Schedule {
 public:
  /// Over an input of size `clip`, in elements of `elem_bytes`, output rows from `begin` on. Throws
  /// InvalidArgument for strips around attention, which needs whole frames.
  Schedule(const Layers& layers, const Size& clip, const Segment& segment, std::int64_t elem_bytes,
           std::int64_t begin = 0);
  /// The same where `value_sizes` is known: planners weigh thousands of schedules.
  Schedule(const Layers& layers, std::vector<Size> sizes, const Segment& segment,
           std::int64_t elem_bytes, std::int64_t begin = 0);

  [[nodiscard]] const Segment& segment() const noexcept { return segment_; }
  [[nodiscard]] std::int64_t elem_bytes() const noexcept { return elem_bytes_; }
  [[nodiscard]] const std::vector<Size>& sizes() const noexcept { return sizes_; }
  [[nodiscard]] const Layers& layers() const noexcept { return frame_plan_.layers(); }
  [[nodiscard]] std::int64_t strip_count() const noexcept { return row_plan_.count(); }
  [[nodiscard]] std::int64_t chunk_count() const noexcept { return frame_plan_.count(); }
  [[nodiscard]] StripRows strip(std::int64_t index) const { return row_plan_.strip(index); }
  [[nodiscard]] std::vector<LayerFrames> chunk(std::int64_t index) const {
    return frame_plan_.chunk(index);
  }

  /// Whether no strip reads rows of `value` that strips before it have made of the output.
  [[nodiscard]] bool reads_ahead(std::int64_t value) const { return row_plan_.reads_ahead(value); }

  /// Line buffers of what each layer makes, and each layer's cached frames as they lie in its
  /// padded input; sizes with a zero where there is none.
  [[nodiscard]] const std::vector<Size>& lines() const noexcept { return lines_; }
  [[nodiscard]] const std::vector<Size>& caches() const noexcept { return caches_; }
  /// Of each layer's padded input and of the window of what it makes, in turn; bytes.
  [[nodiscard]] const std::vector<std::int64_t>& offsets() const noexcept {
    return placement_.offsets;
  }
  /// What the offsets belong to: its moments are three a layer (fill, convolve, write).
  [[nodiscard]] const std::vector<Buffer>& buffers() const noexcept { return buffers_; }
  /// How what layer `first + at` makes gets to the next one.
  [[nodiscard]] Handover handover(std::size_t at) const { return handovers_.at(at); }
  /// In how many strips each layer makes rows.
  [[nodiscard]] const std::vector<std::int64_t>& calls() const noexcept { return rows_.calls; }

  [[nodiscard]] std::int64_t workspace_bytes() const noexcept { return placement_.bytes; }
  [[nodiscard]] std::int64_t line_bytes() const noexcept { return line_bytes_; }
  [[nodiscard]] std::int64_t cache_bytes() const noexcept { return cache_bytes_; }
  [[nodiscard]] std::int64_t call_bytes() const noexcept { return call_bytes_; }
  [[nodiscard]] std::int64_t landing_bytes() const noexcept { return landing_bytes_; }
  [[nodiscard]] std::int64_t departure_bytes() const noexcept { return departure_bytes_; }
  /// Everything of this segment but the stores it reads and writes.
  [[nodiscard]] std::int64_t peak_bytes() const noexcept;
  /// Multiply-adds of one strip over all chunks.
  [[nodiscard]] double strip_macs(std::int64_t index) const;
  /// Size of what layer `first + at` makes.
  [[nodiscard]] const Size& made(std::size_t at) const;
  /// How many positions attention in layer `first + at` sees: of a frame, or of the clip.
  [[nodiscard]] std::int64_t tokens(std::size_t at) const;
  /// How many of them it scores at once.
  [[nodiscard]] std::int64_t queries(std::size_t at) const;

 private:
  [[nodiscard]] Size padded(std::size_t at) const;
  [[nodiscard]] std::vector<Buffer> make_buffers() const;
  [[nodiscard]] LayerCall call(std::size_t at) const;
  /// Whether the segment makes the result of the program.
  [[nodiscard]] bool gives_out() const noexcept;

  Segment segment_;
  std::int64_t elem_bytes_;
  std::vector<Size> sizes_;
  RowPlan row_plan_;
  FramePlan frame_plan_;
  RowLimits rows_;
  FrameLimits frames_;
  std::vector<Handover> handovers_;
  std::vector<Size> lines_;
  std::vector<Size> caches_;
  std::vector<Buffer> buffers_;
  Placement placement_;
  std::int64_t line_bytes_ = 0;
  std::int64_t cache_bytes_ = 0;
  std::int64_t call_bytes_ = 0;
  std::int64_t landing_bytes_ = 0;
  std::int64_t departure_bytes_ = 0;
};

}  // namespace truetile
