#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/cost.hpp"
#include "core/grid.hpp"

namespace truetile {

inline constexpr std::int64_t kMaxPixels = std::int64_t{1} << 48;  ///< pixel-frames of one plan

using Scales = std::array<AxisScale, 3>;             ///< of (t, y, x)
using Box = std::array<Span, 3>;                     ///< global latents (t, y, x)
using Grids = std::array<std::vector<AxisTile>, 3>;  ///< one grid an axis, relative to a box

/// What the user and the VAE ask of a ladder.
struct LadderOptions {
  std::int64_t tile = 64;           ///< edge of the largest spatial tile, latents
  std::int64_t overlap = 8;         ///< latents, below `tile`
  std::int64_t frames = 0;          ///< largest chunk in pixel frames; 0 = whole clip
  std::int64_t overlap_frames = 0;  ///< pixel frames, below `frames`
  std::int64_t min_tile = 8;        ///< smallest spatial tile, latents
  bool carried = false;             ///< chunks continue a causal cache: no overlap in time
  std::int64_t chunk_multiple = 1;  ///< carried chunks end on multiples of so many latents
  bool encode = false;              ///< blend latents instead of pixels
  bool start_tiled = false;         ///< spatial tiles from the first rung on
  std::int64_t stretch = 1000;      ///< of spatial grids, see even_grid

  bool operator==(const LadderOptions&) const = default;
};

/// Sizes of one rung; 0 means whole.
struct Rung {
  std::int64_t frames = 0;         ///< of a chunk, pixel frames
  std::int64_t tile = 0;           ///< edge, latents
  std::int64_t chunk = 0;          ///< `frames` in latents
  std::int64_t overlap = 0;        ///< spatial, latents
  std::int64_t chunk_overlap = 0;  ///< latents

  /// `whole`, `16 frames`, `tile 32`, `1 frame, tile 32`: what is not named is whole.
  [[nodiscard]] std::string describe() const;
  bool operator==(const Rung&) const = default;
};

/// Throws InvalidArgument for the first value outside its range. `extent`: latents (t, y, x).
void check_plan(const Triple& extent, const Scales& scales, const LadderOptions& options,
                const CostModel& cost);

/// The box that covers a whole extent.
[[nodiscard]] Box whole_box(const Triple& extent);

/// The three grids of a rung over a box, in coordinates of that box. A carried box that begins in
/// the middle of the clip goes on without the rule of the first latent.
[[nodiscard]] Grids axis_grids(const Box& box, const Rung& rung, const Scales& scales,
                               const LadderOptions& options);

/// Latents of the largest call of a rung over a box.
[[nodiscard]] std::int64_t call_volume(const Box& box, const Rung& rung,
                                       const LadderOptions& options);

/// Whole clip, 16, 4, 1 frames a chunk, then smaller spatial tiles (under them: 1 frame a chunk
/// when carried, which is exact in time, else 16). Frames become latents with the smallest legal
/// chunk (two latents, one shared, for independent chunks of a causal VAE); a rung stays only if
/// its largest call is really smaller than the one before.
[[nodiscard]] std::vector<Rung> make_rungs(const Triple& extent, const Scales& scales,
                                           const LadderOptions& options);

/// Peak bytes of a rung over the whole extent: its largest call and the fp32 line buffers.
[[nodiscard]] std::int64_t rung_bytes(const Rung& rung, const Triple& extent, const Scales& scales,
                                      const LadderOptions& options, const CostModel& cost);

/// `whole: 1.50 GiB; 16 frames: 600.00 MiB`.
[[nodiscard]] std::string list_needs(const std::vector<Rung>& rungs,
                                     const std::vector<std::int64_t>& needs);

/// Index of the first rung whose bytes fit `budget`; BudgetError lists what each would need.
[[nodiscard]] std::int64_t choose_rung(const Triple& extent, const Scales& scales,
                                       const LadderOptions& options, const CostModel& cost,
                                       std::int64_t budget);

}  // namespace truetile
