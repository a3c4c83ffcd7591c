#pragma once

#include <cstdint>
#include <map>
#include <tuple>
#include <vector>

#include "core/stream/costs.hpp"

namespace truetile {

/// One way to run a pass, with its memory and time.
struct PassOption {
  Segment segment;
  std::int64_t bytes = 0;
  double seconds = 0;
};

/// The ways to run single passes: strips, chunks or queries, each of them weighed once. What it is
/// made from must outlive it.
class PassOptions {
 public:
  PassOptions(const Layers& layers, const std::vector<Size>& sizes, std::int64_t elem_bytes,
              const Speed& speed);

  /// The fastest way to run a pass within `room` bytes, or null: of each chunk the tallest strips.
  [[nodiscard]] const PassOption* fastest(const Segment& one, std::int64_t room);

 private:
  // First and last layer, rows, chunk, queries and keep.
  using Key =
      std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t, bool>;

  [[nodiscard]] const PassOption& option(Segment segment, std::int64_t rows, std::int64_t chunk,
                                         std::int64_t queries);
  [[nodiscard]] const Size& source_size(std::int64_t first) const;

  const Layers& layers_;
  const std::vector<Size>& sizes_;
  std::int64_t elem_bytes_;
  const Speed& speed_;
  std::map<Key, PassOption> options_;
};

}  // namespace truetile
