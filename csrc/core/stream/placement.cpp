#include "core/stream/placement.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace truetile {

Placement place(const std::vector<Buffer>& buffers) {
  std::vector<std::size_t> order(buffers.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&buffers](std::size_t a, std::size_t b) {
    return buffers[a].bytes != buffers[b].bytes ? buffers[a].bytes > buffers[b].bytes : a < b;
  });
  Placement placement{.offsets = std::vector<std::int64_t>(buffers.size(), 0)};
  std::vector<std::size_t> placed;
  for (const std::size_t index : order) {
    const Buffer& one = buffers[index];
    const std::int64_t bytes = round_up(one.bytes, kWorkspaceAlign);
    std::vector<std::pair<std::int64_t, std::int64_t>> taken;
    for (const std::size_t other : placed) {
      if (buffers[other].begin > one.end || one.begin > buffers[other].end) continue;
      const std::int64_t begin = placement.offsets[other];
      taken.emplace_back(begin, begin + round_up(buffers[other].bytes, kWorkspaceAlign));
    }
    std::sort(taken.begin(), taken.end());
    std::int64_t at = 0;
    for (const auto& [begin, end] : taken) {
      if (at + bytes <= begin) break;
      at = std::max(at, end);
    }
    placement.offsets[index] = at;
    placed.push_back(index);
    placement.bytes = std::max(placement.bytes, at + bytes);
  }
  return placement;
}

}  // namespace truetile
