#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/rungs.hpp"

namespace truetile {

using Axes = std::array<AxisTile, 3>;  ///< one tile, by axis (t, y, x)

/// One frame of the ladder's stack as a step sees it; triples are (t, y, x).
struct Level {
  std::int64_t frame =
      0;                  ///< a number of its own for each frame, so that buffers can be kept by it
  std::int64_t rung = 0;  ///< index into Ladder::rungs()
  Box box;                ///< global latents it covers
  Triple size{};          ///< what the box produces: its canvas, and its parent's `out`
  /// The tile that holds the step, in coordinates of the box; of an outer level, whose child took
  /// over, a tile that runs to the end of the clip.
  Axes axes;
  Triple index{};     ///< that tile's place in the grid
  Triple count{};     ///< tiles in the grid
  Triple max_use{};   ///< largest `use` of the grid, for line buffers
  Triple max_zone{};  ///< largest zone of the grid, likewise

  bool operator==(const Level&) const = default;
};

/// Product of the three lengths.
[[nodiscard]] std::int64_t volume(const Box& box) noexcept;

/// Elements of the whole output that are final once the step of `levels` is done.
[[nodiscard]] std::int64_t final_volume(const std::vector<Level>& levels);

/// A box of latents tiled at one rung, and how far it got: spatial tiles outside in raster order,
/// time chunks inside.
class Frame {
 public:
  Frame(std::int64_t number, const Box& box, std::int64_t rung, Grids grids);

  [[nodiscard]] std::int64_t rung() const noexcept { return level_.rung; }
  [[nodiscard]] const Box& box() const noexcept { return level_.box; }
  [[nodiscard]] const Triple& size() const noexcept { return level_.size; }
  /// Whether anything was finished, by the frame itself or by a child.
  [[nodiscard]] bool finished() const noexcept { return finished_; }
  [[nodiscard]] bool complete() const noexcept {
    return tile_ == level_.count[1] * level_.count[2];
  }
  [[nodiscard]] bool starts_tile() const noexcept { return chunk_ == 0; }
  [[nodiscard]] bool last_in_tile() const noexcept { return chunk_ + 1 == level_.count[0]; }

  /// The current tile; `to_clip_end` joins its chunk and all later ones.
  [[nodiscard]] Level level(bool to_clip_end) const;
  /// Global latents of the current tile, likewise.
  [[nodiscard]] Box sub_box(bool to_clip_end) const;

  void next_chunk() noexcept;
  void next_tile() noexcept;

 private:
  Level level_;  // all but axes and index, which follow the cursor
  Grids grids_;
  std::int64_t tile_ = 0;
  std::int64_t chunk_ = 0;
  bool finished_ = false;
};

}  // namespace truetile
