#include "core/memory/fragmentation.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "core/error.hpp"

namespace truetile::memory {
namespace {

struct Sums {
  std::int64_t live = 0, awaiting = 0, free = 0, requested = 0, largest = 0;
};

Sums sum_up(const Segment& segment) {
  Sums sums;
  for (const Block& block : segment.blocks) {
    require_range("size", block.size, 0, kMostBytes);
    require_range("requested", block.requested, 0, block.size, "size", block.size);
    switch (block.state) {
      case BlockState::live:
        sums.live += block.size;
        sums.requested += block.requested;
        break;
      case BlockState::awaiting:
        sums.awaiting += block.size;
        break;
      case BlockState::free:
        sums.free += block.size;
        sums.largest = std::max(sums.largest, block.size);
        break;
    }
  }
  return sums;
}

/// An expandable segment gives back the pages of any free block, live neighbours or not.
bool keeps_free_blocks(const Segment& segment, const Sums& sums) {
  return !segment.expandable && (sums.live > 0 || sums.awaiting > 0);
}

}  // namespace

Fragmentation analyze(const std::vector<Segment>& segments) {
  Fragmentation result;
  std::map<std::pair<std::string, std::int64_t>, PoolFree> pools;
  for (const Segment& segment : segments) {
    const Sums sums = sum_up(segment);
    result.reserved += sums.live + sums.awaiting + sums.free;
    result.allocated += sums.live;
    result.limbo += sums.awaiting;
    result.rounding_loss += sums.live - sums.requested;
    const bool kept = keeps_free_blocks(segment, sums);
    (kept ? result.stranded : result.releasable) += sums.free;
    if (kept && sums.free > 0) {
      result.comb.push_back({segment.address, sums.free, sums.live});
    }
    PoolFree& pool = pools[{segment.pool, segment.stream}];
    pool.pool = segment.pool;
    pool.stream = segment.stream;
    pool.free += sums.free;
    pool.largest = std::max(pool.largest, sums.largest);
  }
  result.slack = result.reserved - result.allocated;
  for (auto& [key, pool] : pools) {
    if (pool.free > 0) {
      pool.fragmentation = 1.0 - static_cast<double>(pool.largest) / static_cast<double>(pool.free);
    }
    result.pools.push_back(pool);
  }
  // By free bytes for each live one, compared as cross products that cannot overflow.
  std::sort(result.comb.begin(), result.comb.end(), [](const Tooth& a, const Tooth& b) {
    const double left = static_cast<double>(a.free) * static_cast<double>(b.live);
    const double right = static_cast<double>(b.free) * static_cast<double>(a.live);
    return left != right ? left > right : a.address < b.address;
  });
  return result;
}

}  // namespace truetile::memory
