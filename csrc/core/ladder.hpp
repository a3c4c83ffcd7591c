#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/frame.hpp"

namespace truetile {

/// One VAE call; triples are (t, y, x).
struct Step {
  std::int64_t id = 0;         ///< counts up
  std::int64_t depth = 0;      ///< 0 for the root frame
  std::int64_t rung = 0;       ///< index into Ladder::rungs()
  Box latent;                  ///< global latents of the call
  Box pixel;                   ///< global pixels and frames: decode makes them, encode reads them
  std::vector<Level> levels;   ///< outermost first; the last one is this step's own
  std::int64_t bytes = 0;      ///< estimate of this call without line buffers
  bool first_in_time = false;  ///< the call holds the clip's first latent
  bool starts_tile = false;    ///< first chunk of a spatial tile at its depth
  bool last_in_tile = false;   ///< last chunk of it

  /// Where a carried cache comes from. -1: start an empty one (or the plan carries none); `depth`:
  /// go on with this depth's own; an outer depth: take a copy of that depth's cache, cropped to
  /// cache_crop. A depth's cache must live until its frame goes on to another spatial tile.
  std::int64_t cache_depth = -1;
  std::array<Span, 2> cache_crop;  ///< (y, x) latents within the tile of `cache_depth`
  bool inherits_cache = false;     ///< cache_depth is an outer depth

  /// This step's own tile in coordinates of its own level's box.
  [[nodiscard]] const Axes& axes() const noexcept { return levels.back().axes; }
};

/// Steps of one rung.
struct RungCount {
  std::int64_t issued = 0;
  std::int64_t done = 0;
  std::int64_t out_of_memory = 0;
};

/// Issues VAE calls one at a time and goes down a rung when one runs out of memory.
///
/// A stack of frames. When memory runs out before a frame has finished anything, the same box
/// starts again one rung down. Otherwise a child frame takes over the rest of that spatial tile's
/// clip, and the tiles after it go straight to children at the deepest rung reached so far. So
/// finished work is never issued again, and what a child makes is blended into its parent as one
/// long tile.
///
///     while (auto step = ladder.next()) ladder.done(*step);  // or ladder.out_of_memory(*step)
class Ladder {
 public:
  /// extent: latents (t, y, x). Throws InvalidArgument for values out of range.
  Ladder(const Triple& extent, const Scales& scales, const LadderOptions& options,
         const CostModel& cost, std::int64_t start_rung = 0);

  /// The next call, or nothing when all is done. The step before must be reported first.
  [[nodiscard]] std::optional<Step> next();
  /// The call succeeded; its result must have been taken over.
  void done(const Step& step);
  /// The call ran out of memory and left nothing behind. Throws LadderExhausted, and changes
  /// nothing, when no rung makes the call smaller.
  void out_of_memory(const Step& step);

  [[nodiscard]] const std::vector<Rung>& rungs() const noexcept { return rungs_; }
  /// Estimated peak bytes of each rung over the whole extent.
  [[nodiscard]] const std::vector<std::int64_t>& rung_bytes() const noexcept { return bytes_; }
  [[nodiscard]] const std::vector<RungCount>& counts() const noexcept { return counts_; }
  /// The rung that steps are issued at now.
  [[nodiscard]] std::int64_t deepest_rung() const noexcept { return deepest_; }
  /// Output elements (pixel-frames; encode: latents) that no later step touches.
  [[nodiscard]] std::int64_t finished_pixels() const noexcept { return finished_; }
  [[nodiscard]] std::int64_t total_pixels() const noexcept { return total_; }
  /// Latents of all calls that were done; over t * y * x of the extent: the work factor.
  [[nodiscard]] std::int64_t computed_latents() const noexcept { return computed_; }

 private:
  [[nodiscard]] Frame make_frame(const Box& box, std::int64_t rung);
  void push(std::int64_t rung);
  [[nodiscard]] Step issue();
  [[nodiscard]] std::int64_t cache_depth(const std::vector<Level>& levels) const;
  [[nodiscard]] std::int64_t smaller_rung(const Box& box, const Step& step) const;
  void check_open(const Step& step) const;

  Scales scales_;
  LadderOptions options_;
  CostModel cost_;
  std::vector<Rung> rungs_;
  std::vector<std::int64_t> bytes_;
  std::vector<RungCount> counts_;
  std::vector<Frame> stack_;
  std::optional<std::int64_t> open_;  // id of the step that was issued and not yet reported
  std::int64_t deepest_ = 0;
  std::int64_t steps_ = 0;
  std::int64_t frames_ = 0;
  std::int64_t total_ = 0;
  std::int64_t finished_ = 0;
  std::int64_t computed_ = 0;
};

}  // namespace truetile
