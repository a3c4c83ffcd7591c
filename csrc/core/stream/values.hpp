#pragma once

#include <vector>

#include "core/stream/layer.hpp"

namespace truetile {

// The values of a program: their sizes, and where it may be cut between them. Working out sizes is
// also what checks a program.

/// Sizes of all values for an input of size `clip`. Throws InvalidArgument for a source that does
/// not exist yet, channels that do not match, a residual of another size, or an axis rule that
/// leaves nothing.
[[nodiscard]] std::vector<Size> value_sizes(const Layers& layers, const Size& clip);

/// For each value whether it is the only one that layers behind it read of those up to it.
[[nodiscard]] std::vector<bool> clean_cuts(const Layers& layers);

}  // namespace truetile
