#pragma once

#include <cstdint>
#include <vector>

#include "core/stream/rows.hpp"

namespace truetile {

/// How what a convolution makes gets to the layer behind it.
enum class Handover : std::uint8_t {
  kWindow = 0,  ///< it is merged into its window, which its readers read
  kJoined = 1,  ///< it is merged into its window while the next layer's padded input is written
  kDirect = 2   ///< only into that input: nobody else reads it, and it has no window
};

/// Of what each layer of a segment makes; `layers` are the segment's own, the first one is `first`.
///
/// Merging waits for the next layer where that is a convolution of a padded input, so that a value
/// is not read back from memory. A direct value keeps rows of that input instead of its own, so in
/// each strip the input must take all that was made.
[[nodiscard]] std::vector<Handover> handovers(const Layers& layers, std::int64_t first,
                                              const RowPlan& rows);

}  // namespace truetile
