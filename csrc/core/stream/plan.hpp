#pragma once

#include <cstdint>
#include <vector>

#include "core/stream/costs.hpp"
#include "core/stream/layer.hpp"

namespace truetile {

/// Where a program may be cut into a whole part and a streamed one: layers [0, c) run whole where a
/// program makes at least the rows it reads, layers [c, end) where it makes fewer. Only one value
/// may cross, attention stays in the whole part, and c lies next to it or to a change of
/// resolution. 0 stands for a program without attention, streamed from end to end. Without any cut
/// the program runs whole.
[[nodiscard]] std::vector<std::int64_t> cuts(const Layers& layers, const Size& clip);

/// The plans worth choosing from, fastest first, each smaller than all before it. `weights`: bytes
/// of each layer's, counted in the plans' bytes; empty: of none. Those of the first of two segments
/// leave with it, those of passes stay.
[[nodiscard]] std::vector<StreamPlan> candidates(const Layers& layers, const Size& clip,
                                                 std::int64_t elem_bytes, const Speed& speed = {},
                                                 const std::vector<std::int64_t>& weights = {});

/// Of `plans` (fastest first, as `candidates` gives them) of at most `budget` bytes the one that
/// costs least, where each byte is worth `byte_seconds`, among those that take no longer than
/// `slack` times the fastest. BudgetError lists what each one needs.
[[nodiscard]] StreamPlan choose_plan(const std::vector<StreamPlan>& plans, std::int64_t budget,
                                     double slack = 1.0, double byte_seconds = 0.0);

}  // namespace truetile
