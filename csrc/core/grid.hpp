#pragma once

#include <cstdint>
#include <vector>

namespace truetile {

// An axis maps latents to pixels (or frames). Tiles are spread evenly over it, all of one length,
// and fade into their neighbours over zones that never touch each other: at most two tiles meet at
// any pixel, and their weights sum to one.

inline constexpr std::int64_t kMaxSize = std::int64_t{1} << 24;  ///< latents on one axis
inline constexpr std::int64_t kMaxStretch = 4000;  ///< thousandths of an axis its tiles may read
inline constexpr std::int64_t kMaxFactor = std::int64_t{1} << 10;  ///< pixels a latent on one axis

/// Half-open range [begin, end).
struct Span {
  std::int64_t begin = 0;
  std::int64_t end = 0;

  [[nodiscard]] std::int64_t length() const noexcept { return end - begin; }
  [[nodiscard]] Span shifted(std::int64_t by) const noexcept { return {begin + by, end + by}; }
  bool operator==(const Span&) const = default;
};

/// n latents give `first + (n - 1) * factor` pixels; `first` < `factor` only on causal time.
struct AxisScale {
  std::int64_t factor = 1;
  std::int64_t first = 1;

  [[nodiscard]] bool causal() const noexcept { return first < factor; }
  [[nodiscard]] std::int64_t pixels(std::int64_t latents) const noexcept {
    return first + (latents - 1) * factor;
  }
  /// Pixels that a call on `latent` produces. With a carried cache they continue where the call
  /// before ended. An independent call is aligned to its end: its first latent gives only the last
  /// `first` frames of its group.
  [[nodiscard]] Span span(Span latent, bool carried) const noexcept;
  bool operator==(const AxisScale&) const = default;
};

/// One tile on one axis, in coordinates of the box it belongs to.
struct AxisTile {
  Span latent;            ///< latents of the call
  Span out;               ///< what the call produces: pixels for decode, latents for encode
  Span use;               ///< the part of `out` that is blended
  std::int64_t lead = 0;  ///< length of the fade-in zone at the begin of `use`
  std::int64_t tail = 0;  ///< length of the fade-out zone at its end: the next tile's fade-in

  /// The part of `use` that no later tile of this axis touches.
  [[nodiscard]] Span final() const noexcept { return {use.begin, use.end - tail}; }
  bool operator==(const AxisTile&) const = default;
};

/// Weight of each index of `tile.use`: (i + 0.5) / lead in the lead zone, 1 - (i + 0.5) / tail in
/// the tail zone, one between. Over all tiles they sum to one at every index.
[[nodiscard]] std::vector<double> axis_weights(const AxisTile& tile);

/// Throws InvalidArgument unless 1 <= first <= factor <= kMaxFactor.
void check_scale(AxisScale scale);

/// Fewest tiles of at most `tile` that cover `size` with at least `overlap` in common, all of one
/// length. `stretch` lets them grow, and their overlaps with them, while all of them together read
/// at most stretch/1000 of the axis and each stays below `tile`. Throws InvalidArgument unless
/// 0 <= overlap < tile, size is in [1, kMaxSize] and stretch in [1000, kMaxStretch].
[[nodiscard]] std::vector<Span> even_grid(std::int64_t size, std::int64_t tile,
                                          std::int64_t overlap, std::int64_t stretch = 1000);

/// Length of the tiles of `even_grid`, without making them.
[[nodiscard]] std::int64_t even_length(std::int64_t size, std::int64_t tile, std::int64_t overlap,
                                       std::int64_t stretch = 1000);

/// Consecutive chunks of at most `chunk`; each but the last ends on a multiple of `multiple`.
[[nodiscard]] std::vector<Span> chunk_grid(std::int64_t size, std::int64_t chunk,
                                           std::int64_t multiple = 1);

/// Tiles over `size` latents; `carried` gives the consecutive chunks of `chunk_grid`, which share
/// nothing. Independent calls on a causal axis need tile >= 2 and overlap >= 1 (unless one tile
/// covers all): the first latent of a call says little about the frames of its group.
[[nodiscard]] std::vector<AxisTile> axis_tiles(std::int64_t size, std::int64_t tile,
                                               std::int64_t overlap, AxisScale scale,
                                               bool carried = false, std::int64_t multiple = 1,
                                               std::int64_t stretch = 1000);

}  // namespace truetile
