#pragma once

#include <string>
#include <vector>

#include "core/memory/types.hpp"

namespace truetile::memory {

/// Who holds a device's memory. The bytes of all parts sum to `used` exactly: what nobody explains
/// is the last part, "unknown". It may be negative (somebody was counted twice); a note says so.
struct Account {
  std::vector<Part> parts;
  Bytes total;
  Bytes used;
  Bytes unknown;  ///< nothing when the driver's figure is not known
  Bytes foreign;  ///< all other processes together; nothing where one of them cannot be told
  std::vector<std::string> notes;
};

/// Parts in order: owners as given, torch tensors of no known owner, torch slack, own memory
/// outside torch, other processes, unknown. Throws InvalidArgument for negative bytes of an owner
/// or a reading.
[[nodiscard]] Account make_account(const Readings& readings, const std::vector<Owner>& owners);

}  // namespace truetile::memory
