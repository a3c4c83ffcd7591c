#pragma once

#include <cstdint>
#include <vector>

#include "core/stream/layer.hpp"

namespace truetile {

// The values of a program: their sizes, and where it may be cut between them. Working out sizes is
// also what checks a program.

inline constexpr std::int64_t kTorchBlock = 512;  ///< torch's CUDA allocator gives multiples of it

/// What a value, or a part of one, takes.
[[nodiscard]] std::int64_t value_bytes(const Size& size, std::int64_t elem_bytes) noexcept;

/// The same of an allocation of its own, such as a whole value between two segments.
[[nodiscard]] std::int64_t store_bytes(const Size& size, std::int64_t elem_bytes) noexcept;

/// Sizes of all values for an input of size `clip`. Throws InvalidArgument for a source that does
/// not exist yet, channels that do not match, a residual of another size, or an axis rule that
/// leaves nothing.
[[nodiscard]] std::vector<Size> value_sizes(const Layers& layers, const Size& clip);

/// For each value whether it is the only one that layers behind it read of those up to it.
[[nodiscard]] std::vector<bool> clean_cuts(const Layers& layers);

}  // namespace truetile
