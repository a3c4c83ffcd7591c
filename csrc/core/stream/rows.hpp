#pragma once

#include <cstdint>
#include <vector>

#include "core/grid.hpp"
#include "core/stream/frontiers.hpp"
#include "core/stream/layer.hpp"

namespace truetile {

/// One layer in one strip.
struct LayerRows {
  Span out;                 ///< rows it makes
  Span read;                ///< rows of its source that it reads
  std::int64_t top = 0;     ///< rows of zeros above
  std::int64_t bottom = 0;  ///< and below
  std::int64_t padded = 0;  ///< total height of the padded input
  bool operator==(const LayerRows&) const = default;
};

/// What a layer made: rows on hand in the strip, and those of them kept for the next strip.
struct ValueRows {
  Span window;
  Span keep;
  bool operator==(const ValueRows&) const = default;
};

/// One strip of a segment; entry i belongs to layer `first + i` and to what it makes.
struct StripRows {
  std::vector<LayerRows> layers;
  std::vector<ValueRows> values;
  bool operator==(const StripRows&) const = default;
};

/// Strips of `height` rows of the output of layers [first, last); 0 makes it one strip.
///
/// Pulling the end of a strip backwards through the layers gives each layer's frontier: how many of
/// its rows are complete after the strip. A strip makes the rows between two frontiers, so that no
/// row is made twice; a value keeps what a reader still needs of it. The output begins at row
/// `begin`: what came before was finished by another plan, and the rows around it are made again.
/// The first strip is lower by the lookahead, if it can be: its frontiers stand ahead of nothing,
/// so that it would be the tallest one in each layer. Every layer but the last must be read inside
/// the segment (InvalidArgument).
class RowPlan {
 public:
  RowPlan(const Layers& layers, std::int64_t first, std::int64_t last,
          const std::vector<Size>& sizes, std::int64_t height, std::int64_t begin = 0);

  [[nodiscard]] std::int64_t count() const noexcept { return count_; }
  /// How many of its own rows the output has for a row of what the first layer reads; at least 1.
  [[nodiscard]] std::int64_t unit() const noexcept;
  /// By how many rows the first strip must be lower than others not to be taller in any layer: how
  /// far frontiers stand ahead of the output, in its rows; whole units, no fewer than a strip's
  /// rows where it is at least those.
  [[nodiscard]] std::int64_t lookahead() const;
  /// Strip `index` of `count()`.
  [[nodiscard]] StripRows strip(std::int64_t index) const;
  /// Runs of strips that are alike but for their place; the first of each stands for all. Far from
  /// both borders strips of a suitable height only move down, each layer by as much as before.
  [[nodiscard]] const std::vector<Span>& distinct() const noexcept { return runs_; }
  /// Whether no strip reads rows of `value` that strips before it have made of the output.
  [[nodiscard]] bool reads_ahead(std::int64_t value) const;

 private:
  /// Rows of each layer that are complete after a strip.
  [[nodiscard]] Frontiers::Rows ends(std::int64_t strip) const;
  /// Rows of the first strip.
  [[nodiscard]] std::int64_t first_step() const;
  [[nodiscard]] LayerRows layer_rows(std::size_t at, Span out) const;
  [[nodiscard]] std::vector<Span> find_runs() const;
  /// Whether a strip reads the first row of anything, or what was kept for it began there.
  [[nodiscard]] bool touches_top(std::int64_t index) const;
  /// Whether a strip makes the last row of anything, or reads zeros below one.
  [[nodiscard]] bool touches_bottom(std::int64_t index) const;
  /// Whether a strip moves every layer by a whole number of rows, the same for all its readers.
  [[nodiscard]] bool shifts_evenly() const;

  Frontiers frontiers_;
  std::int64_t begin_;
  std::int64_t step_ = 0;
  std::int64_t first_step_ = 0;
  std::int64_t count_ = 0;
  Frontiers::Rows starts_;
  std::vector<Span> runs_;
};

/// The most rows in a strip: `out`, `read`, `padded` of layers, `window`, `keep` of values.
struct RowLimits {
  std::vector<std::int64_t> out;
  std::vector<std::int64_t> read;
  std::vector<std::int64_t> padded;
  std::vector<std::int64_t> window;
  std::vector<std::int64_t> keep;
  std::vector<std::int64_t> calls;  ///< in how many strips a layer makes rows at all
};

/// The maxima over all strips of a plan.
[[nodiscard]] RowLimits row_limits(const RowPlan& plan);

}  // namespace truetile
