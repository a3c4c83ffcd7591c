#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/memory/types.hpp"

namespace truetile::memory {

enum class BlockState : std::uint8_t {
  live,      ///< holds a tensor
  awaiting,  ///< freed, but another stream may still use it
  free,
};

struct Block {
  std::int64_t size = 0;
  std::int64_t requested = 0;  ///< what the caller asked for; 0 when not live
  BlockState state = BlockState::free;
};

/// One stretch of device memory that torch's native allocator took from the driver.
struct Segment {
  std::uint64_t address = 0;
  std::int64_t stream = 0;
  std::string pool;  ///< "small", "large", or a private pool's id
  bool expandable = false;
  std::vector<Block> blocks;  ///< in order of address, without gaps
};

/// Free memory that only one pool on one stream can use.
struct PoolFree {
  std::string pool;
  std::int64_t stream = 0;
  std::int64_t free = 0;
  std::int64_t largest = 0;
  double fragmentation = 0.0;  ///< 1 - largest / free; 0 when nothing is free
};

/// A segment that a live block keeps from going back to the driver: a tooth of the comb.
struct Tooth {
  std::uint64_t address = 0;
  std::int64_t free = 0;
  std::int64_t live = 0;  ///< bytes that a repair has to move
};

struct Fragmentation {
  std::int64_t reserved = 0;
  std::int64_t allocated = 0;
  std::int64_t slack = 0;          ///< reserved - allocated: kept from others, usable by torch
  std::int64_t limbo = 0;          ///< freed, waiting for another stream
  std::int64_t stranded = 0;       ///< free beside a block that is live or in limbo
  std::int64_t releasable = 0;     ///< what empty_cache gives back
  std::int64_t rounding_loss = 0;  ///< allocated - requested
  std::vector<PoolFree> pools;     ///< sorted by pool and stream
  std::vector<Tooth> comb;         ///< most free bytes for the fewest live ones first
};

/// Arithmetic over a snapshot of the native allocator. slack = limbo + stranded + releasable.
/// Throws InvalidArgument for negative sizes.
[[nodiscard]] Fragmentation analyze(const std::vector<Segment>& segments);

}  // namespace truetile::memory
