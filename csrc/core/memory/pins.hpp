#pragma once

#include <cstdint>
#include <vector>

#include "core/memory/fragmentation.hpp"

namespace truetile::memory {

/// A segment with free memory that its other blocks keep from going back to the driver.
struct Pin {
  std::uint64_t address = 0;
  std::int64_t size = 0;
  std::int64_t free = 0;
  std::int64_t live = 0;
  std::int64_t awaiting = 0;  ///< freed, but another stream may still use it: nobody can move it
  std::int64_t unknown = 0;   ///< of `live`: blocks in which none of the storages begins
  std::vector<std::int64_t> storages;  ///< indices of those that begin in a live block, ascending
};

/// Whose blocks pin which segments of the native allocator's snapshot: the comb of `analyze`, with
/// the storages in it. `storages`: addresses at which storages begin, in any order.
/// Most free bytes for the fewest live ones first. Throws InvalidArgument for negative sizes.
[[nodiscard]] std::vector<Pin> find_pins(const std::vector<Segment>& segments,
                                         const std::vector<std::uint64_t>& storages);

}  // namespace truetile::memory
