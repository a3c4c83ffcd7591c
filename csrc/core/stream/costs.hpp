#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/stream/schedule.hpp"

namespace truetile {

/// A rough machine: multiply-adds and bytes a second, seconds between a layer call's kernels on the
/// device (`gap`) and for launching them on the host (`launch`). The defaults are an H200's on half
/// precision, fitted to 14 measured plans; other machines are slower in about the same proportions,
/// and plans are only compared with each other.
struct Speed {
  double macs = 3.3e14;
  double bytes = 3e12;
  double gap = 4e-6;
  double launch = 2e-4;
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

/// Predicted time of a segment: tensor work and traffic, or launches where these take longer.
[[nodiscard]] double segment_seconds(const Schedule& schedule, const Speed& speed);

/// Strip heights to choose from for layers [first, last) of values of `sizes`, the tallest first; 0
/// is whole. They cut the rows and the lookahead, by which the first strip is lower, evenly into 2,
/// 3, 4, 5, 6, 8, 10...: strips of one height give convolutions of one shape, which are worth
/// tuning.
[[nodiscard]] std::vector<std::int64_t> strip_heights(const Layers& layers, std::int64_t first,
                                                      std::int64_t last,
                                                      const std::vector<Size>& sizes);

}  // namespace truetile
