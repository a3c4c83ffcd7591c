#include "core/frame.hpp"

#include <algorithm>
#include <utility>

namespace truetile {

std::int64_t volume(const Box& box) noexcept {
  return box[0].length() * box[1].length() * box[2].length();
}

std::int64_t final_volume(const std::vector<Level>& levels) {
  Box spans;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    spans[axis] = levels.back().axes[axis].final();
    for (std::size_t depth = levels.size() - 1; depth-- > 0;) {
      const AxisTile& outer = levels[depth].axes[axis];
      const Span inner = spans[axis].shifted(outer.out.begin);
      const std::int64_t begin = std::max(inner.begin, outer.final().begin);
      spans[axis] = {begin, std::max(begin, std::min(inner.end, outer.final().end))};
    }
  }
  return volume(spans);
}

Frame::Frame(std::int64_t number, const Box& box, std::int64_t rung, Grids grids)
    : grids_(std::move(grids)) {
  level_.frame = number;
  level_.rung = rung;
  level_.box = box;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const std::vector<AxisTile>& grid = grids_[axis];
    level_.size[axis] = grid.back().out.end;
    level_.count[axis] = static_cast<std::int64_t>(grid.size());
    for (const AxisTile& tile : grid) {
      level_.max_use[axis] = std::max(level_.max_use[axis], tile.use.length());
      level_.max_zone[axis] = std::max(level_.max_zone[axis], tile.tail);
    }
  }
}

Level Frame::level(bool to_clip_end) const {
  Level level = level_;
  level.index = {chunk_, tile_ / level_.count[2], tile_ % level_.count[2]};
  for (std::size_t axis = 0; axis < 3; ++axis) {
    level.axes[axis] = grids_[axis][static_cast<std::size_t>(level.index[axis])];
  }
  if (to_clip_end) {
    AxisTile& joined = level.axes[0];
    const AxisTile& last = grids_[0].back();
    joined.latent.end = last.latent.end;
    joined.out.end = last.out.end;
    joined.use.end = last.use.end;
    joined.tail = 0;
  }
  return level;
}

Box Frame::sub_box(bool to_clip_end) const {
  const Level current = level(to_clip_end);
  Box box;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    box[axis] = current.axes[axis].latent.shifted(current.box[axis].begin);
  }
  return box;
}

void Frame::next_chunk() noexcept {
  ++chunk_;
  finished_ = true;
}

void Frame::next_tile() noexcept {
  ++tile_;
  chunk_ = 0;
  finished_ = true;
}

}  // namespace truetile
