#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/stream/layer.hpp"
#include "core/stream/schedule.hpp"

namespace truetile {

/// A rough machine: multiply-adds and bytes a second, seconds lost in a layer call. The defaults
/// are an H200's on half precision; other machines are slower in about the same proportions, and
/// plans are only compared with each other.
struct Speed {
  double macs = 3e14;
  double bytes = 3e12;
  double call = 4e-5;
};

/// Segments in order with whole values (stores) between them. Low resolutions run whole, because
/// attention needs whole frames and short strips starve a GPU; the rest runs in strips.
struct StreamPlan {
  std::vector<Segment> segments;
  std::int64_t bytes = 0;  ///< peak of device memory with all stores, weights left out
  double seconds = 0;      ///< predicted

  /// `layers 0-12 whole; layers 13-37 in strips of 64 rows, chunks of 3`.
  [[nodiscard]] std::string describe() const;
};

/// A whole value between two segments.
[[nodiscard]] std::int64_t store_bytes(const Size& size, std::int64_t elem_bytes);

/// Predicted time of a segment: tensor work, traffic and launches.
[[nodiscard]] double segment_seconds(const Schedule& schedule, const Speed& speed);

/// Where a program may be cut into a whole part and a streamed one: layers [0, c) run whole where a
/// program makes at least the rows it reads, layers [c, end) where it makes fewer. Only one value
/// may cross, attention stays in the whole part, and c lies next to it or to a change of
/// resolution. 0 stands for a program without attention, streamed from end to end. Without any cut
/// the program runs whole.
[[nodiscard]] std::vector<std::int64_t> cuts(const Layers& layers, const Size& clip);

/// The plans worth choosing from, fastest first, each smaller than all before it.
[[nodiscard]] std::vector<StreamPlan> candidates(const Layers& layers, const Size& clip,
                                                 std::int64_t elem_bytes, const Speed& speed = {});

/// Of the plans of at most `budget` bytes the smallest that takes no longer than `slack` times the
/// fastest of them. BudgetError lists what each one needs.
[[nodiscard]] StreamPlan choose_plan(const Layers& layers, const Size& clip,
                                     std::int64_t elem_bytes, std::int64_t budget,
                                     double slack = 1.0, const Speed& speed = {});

}  // namespace truetile
