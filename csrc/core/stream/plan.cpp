#include "core/stream/plan.hpp"

#include <algorithm>
#include <numeric>
#include <tuple>

#include "core/cost.hpp"
#include "core/error.hpp"
#include "core/stream/passes.hpp"
#include "core/stream/values.hpp"

namespace truetile {
namespace {

/// A segment with what it needs.
struct Option {
  Segment segment;
  std::int64_t bytes = 0;
  double seconds = 0;
};

/// What all options of one program share.
struct Problem {
  const Layers& layers;
  const Size& clip;
  std::int64_t elem_bytes;
  const Speed& speed;
  const std::vector<std::int64_t>& weights;
  std::vector<Size> sizes;

  /// Bytes of the weights of layers from `first` on.
  [[nodiscard]] std::int64_t weights_from(std::int64_t first) const {
    if (weights.empty()) return 0;
    return std::accumulate(weights.begin() + first, weights.end(), std::int64_t{0});
  }
};

/// Layers [first, last) for each strip height (only whole unless `strips`) and chunk.
std::vector<Option> options(const Problem& problem, std::int64_t first, std::int64_t last,
                            bool strips) {
  const std::int64_t source = problem.layers[static_cast<std::size_t>(first)].source;
  const Size& read = problem.sizes[static_cast<std::size_t>(source)];
  const bool clip =
      std::any_of(problem.layers.begin() + first, problem.layers.begin() + last,
                  [](const StreamLayer& layer) { return layer.kind == LayerKind::kClipAttention; });
  const std::vector<std::int64_t> queries =
      query_choices(problem.layers, problem.sizes, first, last);
  std::vector<std::int64_t> heights = {0};
  if (strips) heights = strip_heights(problem.layers, first, last, problem.sizes);
  std::vector<std::int64_t> chunks = {0};
  if (!clip) chunks = chunk_lengths(problem.layers, first, last, read[0]);
  std::vector<Option> found;
  for (const std::int64_t rows : heights) {
    for (const std::int64_t chunk : chunks) {
      for (const std::int64_t scored : queries) {
        const Segment segment = {first, last, rows, chunk, true, -1, scored};
        const Schedule schedule(problem.layers, problem.sizes, segment, problem.elem_bytes);
        found.push_back({segment, schedule.peak_bytes(), segment_seconds(schedule, problem.speed)});
      }
    }
  }
  return found;
}

/// The fastest whole part that needs no more than `bytes`, else the smallest.
const Option& under(const std::vector<Option>& whole, std::int64_t bytes) {
  const Option* best = nullptr;
  for (const Option& one : whole) {
    if (one.bytes <= bytes && (best == nullptr || one.seconds < best->seconds)) best = &one;
  }
  if (best != nullptr) return *best;
  return *std::min_element(whole.begin(), whole.end(),
                           [](const Option& a, const Option& b) { return a.bytes < b.bytes; });
}

void add_single(const std::vector<Option>& found, std::int64_t weights,
                std::vector<StreamPlan>& plans) {
  for (const Option& one : found) {
    plans.push_back({{one.segment}, one.bytes + weights, one.seconds});
  }
}

void add_plans(const Problem& problem, std::int64_t cut, std::vector<StreamPlan>& plans) {
  const auto count = static_cast<std::int64_t>(problem.layers.size());
  const bool decoding = problem.sizes.back()[1] >= problem.sizes.front()[1];
  const bool single = cut == 0;
  const std::int64_t first = decoding ? cut : 0;
  const std::int64_t last = decoding || single ? count : cut;
  const std::vector<Option> streamed = options(problem, first, last, true);
  if (single) {
    add_single(streamed, problem.weights_from(0), plans);
    return;
  }
  const std::vector<Option> whole =
      decoding ? options(problem, 0, cut, false) : options(problem, cut, count, false);
  const std::int64_t store =
      store_bytes(problem.sizes[static_cast<std::size_t>(cut)], problem.elem_bytes);
  // What of the weights is there besides while either part runs.
  const std::int64_t with_whole = problem.weights_from(decoding ? 0 : cut);
  const std::int64_t with_streamed = problem.weights_from(decoding ? cut : 0);
  for (const Option& one : streamed) {
    const std::int64_t room = one.bytes + with_streamed;
    const Option& other = under(whole, room - with_whole);
    StreamPlan plan;
    plan.segments = {one.segment, other.segment};
    if (decoding) std::swap(plan.segments[0], plan.segments[1]);
    plan.bytes = store + std::max(room, other.bytes + with_whole);
    plan.seconds = one.seconds + other.seconds;
    plans.push_back(plan);
  }
}

}  // namespace

std::vector<StreamPlan> candidates(const Layers& layers, const Size& clip, std::int64_t elem_bytes,
                                   const Speed& speed, const std::vector<std::int64_t>& weights) {
  require(weights.empty() || weights.size() == layers.size(), "weights", text(weights.size()),
          text("0 or ", layers.size()));
  const Problem problem = {layers, clip, elem_bytes, speed, weights, value_sizes(layers, clip)};
  if (std::any_of(layers.begin(), layers.end(), [](const auto& one) { return one.groups > 0; })) {
    std::vector<StreamPlan> passes = pass_plans(layers, clip, elem_bytes, speed);
    for (StreamPlan& plan : passes) plan.bytes += problem.weights_from(0);
    return passes;
  }
  const auto last = static_cast<std::int64_t>(layers.size());
  std::vector<StreamPlan> plans;
  const std::vector<std::int64_t> found = cuts(layers, clip);
  for (const std::int64_t cut : found) add_plans(problem, cut, plans);
  if (found.empty()) add_single(options(problem, 0, last, false), problem.weights_from(0), plans);
  std::vector<std::size_t> order(plans.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto key = [&plans](std::size_t i) {
    return std::make_tuple(plans[i].seconds, plans[i].bytes, i);
  };
  std::sort(order.begin(), order.end(),
            [&key](std::size_t a, std::size_t b) { return key(a) < key(b); });
  std::vector<StreamPlan> front;
  for (const std::size_t i : order) {
    if (front.empty() || plans[i].bytes < front.back().bytes) front.push_back(plans[i]);
  }
  return front;
}

StreamPlan choose_plan(const std::vector<StreamPlan>& plans, std::int64_t budget, double slack,
                       double byte_seconds) {
  require_range("budget", budget, 1, std::int64_t{1} << 60);
  require(slack >= 1.0, "slack", text(slack), "at least 1");
  require(byte_seconds >= 0.0, "byte_seconds", text(byte_seconds), "at least 0");
  const auto cost = [byte_seconds](const StreamPlan& plan) {
    return plan.seconds + byte_seconds * static_cast<double>(plan.bytes);
  };
  const StreamPlan* fastest = nullptr;
  const StreamPlan* chosen = nullptr;
  for (const StreamPlan& plan : plans) {
    if (plan.bytes > budget) continue;
    if (fastest == nullptr) fastest = &plan;
    if (plan.seconds > slack * fastest->seconds) break;
    if (chosen == nullptr || cost(plan) < cost(*chosen)) chosen = &plan;
  }
  if (chosen != nullptr) return *chosen;
  std::string listed;
  std::int64_t least = std::int64_t{1} << 62;
  for (const StreamPlan& plan : plans) {
    least = std::min(least, plan.bytes);
    listed += text(listed.empty() ? "" : "; ", plan.describe(), ": ", format_bytes(plan.bytes));
  }
  throw BudgetError(
      text("budget=", budget, ": must be at least ", least, " bytes; the plans need: ", listed));
}

}  // namespace truetile
