#include "core/stream/rows.hpp"

#include <algorithm>
#include <functional>
#include <utility>

#include "core/error.hpp"

namespace truetile {
namespace {

using Edge = Frontiers::Edge;
using Rows = Frontiers::Rows;

Frontiers frontiers_of(const Layers& layers, std::int64_t first, std::int64_t last,
                       const std::vector<Size>& sizes) {
  require_range("last", last, 1, static_cast<std::int64_t>(layers.size()));
  require_range("first", first, 0, last - 1);
  Rows heights;
  for (const Size& size : sizes) heights.push_back(size[1]);
  return {Layers(layers.begin() + first, layers.begin() + last), first, std::move(heights)};
}

}  // namespace

RowPlan::RowPlan(const Layers& layers, std::int64_t first, std::int64_t last,
                 const std::vector<Size>& sizes, std::int64_t height, std::int64_t begin)
    : frontiers_(frontiers_of(layers, first, last, sizes)), begin_(begin) {
  const Layers& own = frontiers_.layers();
  const std::int64_t total = frontiers_.height();
  require_range("rows", height, 0, std::int64_t{1} << 24);
  require_range("begin", begin, 0, total - 1);
  for (std::int64_t value = first + 1; value < last; ++value) {
    const bool read =
        std::any_of(own.begin() + (value - first), own.end(), [value](const StreamLayer& layer) {
          return layer.source == value || layer.residual == value;
        });
    require(read, "last", text(last), text("such that layer ", value - 1, " is read before it"));
  }
  step_ = height > 0 ? height : total;
  starts_ = frontiers_.pull(begin, Edge::kBegin);
  first_step_ = first_step();
  count_ = 1 + (total - begin - first_step_ + step_ - 1) / step_;
  runs_ = find_runs();
}

std::int64_t RowPlan::unit() const noexcept {
  return std::max<std::int64_t>(1, frontiers_.height() / frontiers_.source_height(0));
}

std::int64_t RowPlan::lookahead() const {
  // A strip that ended so far above the first one would have made no row of that one.
  const auto behind = [this](std::int64_t rows) {
    const Rows reached = frontiers_.pull(begin_ - rows, Edge::kReach);
    return std::equal(reached.begin(), reached.end(), starts_.begin(), std::less_equal<>());
  };
  std::int64_t least = 0;
  std::int64_t most = step_;
  while (least < most) {
    const std::int64_t middle = (least + most) / 2;
    if (behind(middle)) {
      most = middle;
    } else {
      least = middle + 1;
    }
  }
  return (least + unit() - 1) / unit() * unit();
}

std::int64_t RowPlan::first_step() const {
  const std::int64_t rows = frontiers_.height() - begin_;
  if (step_ >= rows) return rows;
  const std::int64_t lower = step_ - lookahead();
  return lower > 0 ? lower : std::min(unit(), step_);
}

StripRows RowPlan::strip(std::int64_t index) const {
  const Rows before = ends(index - 1);
  const Rows after = ends(index);
  const Rows kept = index > 0 ? frontiers_.keep_from(before) : starts_;
  const Rows keep = frontiers_.keep_from(after);
  StripRows strip;
  for (std::size_t at = 0; at < frontiers_.layers().size(); ++at) {
    strip.layers.push_back(layer_rows(at, {before[at], after[at]}));
    strip.values.push_back(
        {{std::min(kept[at], before[at]), after[at]}, {std::min(keep[at], after[at]), after[at]}});
  }
  return strip;
}

std::vector<Span> RowPlan::find_runs() const {
  std::int64_t tail = count_;
  while (tail > 0 && touches_bottom(tail - 1)) --tail;
  std::int64_t head = 1;
  while (head < tail && touches_top(head)) ++head;
  const bool moves = head < tail && shifts_evenly();
  std::vector<Span> runs;
  for (std::int64_t index = 0; index < count_; index = runs.back().end) {
    runs.push_back({index, moves && index == head ? tail : index + 1});
  }
  return runs;
}

bool RowPlan::touches_top(std::int64_t index) const {
  const StripRows before = strip(index - 1);
  const StripRows rows = strip(index);
  return std::any_of(before.values.begin(), before.values.end(),
                     [](const ValueRows& value) { return value.keep.begin == 0; }) ||
         std::any_of(rows.layers.begin(), rows.layers.end(),
                     [](const LayerRows& layer) { return layer.read.begin == 0; });
}

bool RowPlan::touches_bottom(std::int64_t index) const {
  const StripRows rows = strip(index);
  for (std::size_t at = 0; at < rows.layers.size(); ++at) {
    const LayerRows& layer = rows.layers[at];
    if (layer.bottom > 0 || layer.out.end == frontiers_.made_height(at)) return true;
  }
  return false;
}

bool RowPlan::shifts_evenly() const {
  Rows shifts(frontiers_.layers().size(), 0);
  shifts.back() = step_;
  for (std::size_t at = shifts.size(); at-- > 0;) {
    const StreamLayer& layer = frontiers_.layers()[at];
    const bool shuffles = layer.kind == LayerKind::kShuffle;
    const std::int64_t down = shuffles ? layer.shuffle.down : layer.rows.stride;
    const std::int64_t up = shuffles ? layer.shuffle.up : layer.rows.up;
    const auto moves = [&](std::int64_t value, std::int64_t times, std::int64_t part) {
      const std::int64_t index = frontiers_.inside(value);
      if (index < 0) return true;
      const std::int64_t moved = shifts[at] * times;
      auto& found = shifts[static_cast<std::size_t>(index)];
      if (moved % part != 0 || (found != 0 && found != moved / part)) return false;
      found = moved / part;
      return true;
    };
    if (!moves(layer.source, down, up)) return false;
    if (!moves(layer.residual, layer.shortcut.down, layer.shortcut.up)) return false;
  }
  return true;
}

bool RowPlan::reads_ahead(std::int64_t value) const {
  for (const Span& run : distinct()) {
    const StripRows rows = strip(run.begin);
    const std::int64_t finished = rows.layers.back().out.begin;
    for (std::size_t at = 0; at < rows.layers.size(); ++at) {
      const LayerRows& made = rows.layers[at];
      const StreamLayer& layer = frontiers_.layers()[at];
      if (made.out.length() == 0) continue;
      if (layer.source == value && made.read.begin < finished) return false;
      if (layer.residual != value) continue;
      if (layer.shortcut.rows(made.out).begin < finished) return false;
    }
  }
  return true;
}

Rows RowPlan::ends(std::int64_t strip) const {
  if (strip < 0) return starts_;
  const std::int64_t end = begin_ + first_step_ + strip * step_;
  return frontiers_.pull(std::min(end, frontiers_.height()), Edge::kEnd);
}

LayerRows RowPlan::layer_rows(std::size_t at, Span out) const {
  const StreamLayer& layer = frontiers_.layers()[at];
  const AxisRule& rule = layer.rows;
  const std::int64_t height = frontiers_.source_height(at);
  LayerRows rows{.out = out, .read = {}};
  if (out.length() == 0) {
    const std::int64_t row = layer.begin(out.begin, height);
    rows.read = {row, row};
    return rows;
  }
  if (layer.kind == LayerKind::kShuffle) {
    rows.read = layer.shuffle.rows(out);
    return rows;
  }
  const std::int64_t low = rule.lead(out.begin);
  rows.padded = rule.padded(out.begin, out.end);
  rows.read = {std::max<std::int64_t>(0, low), std::min(height, low + rows.padded)};
  rows.top = rows.read.begin - low;
  rows.bottom = low + rows.padded - rows.read.end;
  return rows;
}

RowLimits row_limits(const RowPlan& plan) {
  RowLimits limits;
  for (const Span& run : plan.distinct()) {
    const StripRows strip = plan.strip(run.begin);
    const std::size_t count = strip.layers.size();
    for (auto* list :
         {&limits.out, &limits.read, &limits.padded, &limits.window, &limits.keep, &limits.calls}) {
      list->resize(count, 0);
    }
    for (std::size_t at = 0; at < count; ++at) {
      const LayerRows& layer = strip.layers[at];
      limits.out[at] = std::max(limits.out[at], layer.out.length());
      limits.read[at] = std::max(limits.read[at], layer.read.length());
      limits.padded[at] = std::max(limits.padded[at], layer.padded);
      limits.window[at] = std::max(limits.window[at], strip.values[at].window.length());
      limits.keep[at] = std::max(limits.keep[at], strip.values[at].keep.length());
      limits.calls[at] += layer.out.length() > 0 ? run.length() : 0;
    }
  }
  return limits;
}

}  // namespace truetile
