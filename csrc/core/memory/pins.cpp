#include "core/memory/pins.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "core/error.hpp"

namespace truetile::memory {
namespace {

/// Addresses with their indices in the caller's list, by address.
using Sorted = std::vector<std::pair<std::uint64_t, std::int64_t>>;

Sorted sorted_by_address(const std::vector<std::uint64_t>& storages) {
  Sorted sorted;
  sorted.reserve(storages.size());
  for (std::size_t i = 0; i < storages.size(); ++i) {
    sorted.emplace_back(storages[i], static_cast<std::int64_t>(i));
  }
  std::sort(sorted.begin(), sorted.end());
  return sorted;
}

/// Adds the storages that begin in [begin, begin + size) to `found`; whether there is one.
bool add_inside(const Sorted& sorted, std::uint64_t begin, std::int64_t size,
                std::vector<std::int64_t>& found) {
  auto entry = std::lower_bound(sorted.begin(), sorted.end(), std::pair{begin, std::int64_t{0}});
  const auto end = begin + static_cast<std::uint64_t>(size);
  const bool any = entry != sorted.end() && entry->first < end;
  for (; entry != sorted.end() && entry->first < end; ++entry) found.push_back(entry->second);
  return any;
}

Pin pin_of(const Segment& segment, const Sorted& sorted) {
  Pin pin;
  pin.address = segment.address;
  std::uint64_t at = segment.address;
  for (const Block& block : segment.blocks) {
    require_range("size", block.size, 0, kMostBytes);
    pin.size += block.size;
    if (block.state == BlockState::free) pin.free += block.size;
    if (block.state == BlockState::awaiting) pin.awaiting += block.size;
    if (block.state == BlockState::live) {
      pin.live += block.size;
      if (!add_inside(sorted, at, block.size, pin.storages)) pin.unknown += block.size;
    }
    at += static_cast<std::uint64_t>(block.size);
  }
  std::sort(pin.storages.begin(), pin.storages.end());
  return pin;
}

}  // namespace

std::vector<Pin> find_pins(const std::vector<Segment>& segments,
                           const std::vector<std::uint64_t>& storages) {
  const Sorted sorted = sorted_by_address(storages);
  std::vector<Pin> pins;
  for (const Segment& segment : segments) {
    Pin pin = pin_of(segment, sorted);
    // The pages of a free block of an expandable segment go back whatever its neighbours are.
    if (segment.expandable || pin.free == 0 || pin.live + pin.awaiting == 0) continue;
    pins.push_back(std::move(pin));
  }
  std::sort(pins.begin(), pins.end(), [](const Pin& a, const Pin& b) {
    const double left = static_cast<double>(a.free) * static_cast<double>(b.live);
    const double right = static_cast<double>(b.free) * static_cast<double>(a.live);
    return left != right ? left > right : a.address < b.address;
  });
  return pins;
}

}  // namespace truetile::memory
