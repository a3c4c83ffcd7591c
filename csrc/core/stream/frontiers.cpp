#include "core/stream/frontiers.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace truetile {
namespace {

void lower(std::vector<std::int64_t>& rows, std::int64_t at, std::int64_t row) {
  if (at >= 0)
    rows[static_cast<std::size_t>(at)] = std::min(rows[static_cast<std::size_t>(at)], row);
}

void raise(std::vector<std::int64_t>& rows, std::int64_t at, std::int64_t row) {
  if (at >= 0)
    rows[static_cast<std::size_t>(at)] = std::max(rows[static_cast<std::size_t>(at)], row);
}

}  // namespace

Frontiers::Frontiers(Layers layers, std::int64_t first, Rows heights)
    : layers_(std::move(layers)), first_(first), heights_(std::move(heights)) {}

std::int64_t Frontiers::source_height(std::size_t at) const {
  return heights_[static_cast<std::size_t>(layers_[at].source)];
}

std::int64_t Frontiers::residual_height(std::size_t at) const {
  return heights_[static_cast<std::size_t>(std::max<std::int64_t>(0, layers_[at].residual))];
}

std::int64_t Frontiers::made_height(std::size_t at) const {
  return heights_[static_cast<std::size_t>(first_) + 1 + at];
}

Frontiers::Rows Frontiers::pull(std::int64_t row, Edge edge) const {
  const bool lowest = edge == Edge::kBegin;
  const auto carried = [edge](const auto& rule, std::int64_t out, std::int64_t n) {
    if (edge == Edge::kReach) return rule.reach(out);
    return edge == Edge::kBegin ? rule.begin(out, n) : rule.end(out, n);
  };
  Rows found(layers_.size(), std::numeric_limits<std::int64_t>::min());
  if (lowest) {
    std::copy_n(heights_.begin() + first_ + 1, layers_.size(), found.begin());
  }
  found.back() = row;
  for (std::size_t at = layers_.size(); at-- > 0;) {
    const StreamLayer& layer = layers_[at];
    const auto take = lowest ? lower : raise;
    take(found, inside(layer.source), carried(layer, found[at], source_height(at)));
    take(found, inside(layer.residual), carried(layer.shortcut, found[at], residual_height(at)));
  }
  return found;
}

Frontiers::Rows Frontiers::keep_from(const Rows& frontiers) const {
  Rows found(heights_.begin() + first_ + 1,
             heights_.begin() + first_ + 1 + static_cast<std::int64_t>(layers_.size()));
  found.back() = frontiers.back();
  for (std::size_t at = 0; at < layers_.size(); ++at) {
    const StreamLayer& layer = layers_[at];
    lower(found, inside(layer.source), layer.begin(frontiers[at], source_height(at)));
    lower(found, inside(layer.residual), layer.shortcut.begin(frontiers[at], residual_height(at)));
  }
  return found;
}

}  // namespace truetile
