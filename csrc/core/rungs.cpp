#include "core/rungs.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include "core/error.hpp"

namespace truetile {
namespace {

constexpr std::array<std::int64_t, 3> kTimeRungs{16, 4, 1};  // pixel frames a chunk
constexpr std::int64_t kTileFrames = 16;  // likewise under spatial tiles, for independent chunks
constexpr AxisScale kOne{1, 1};

void check_extent(const Triple& extent, const Scales& scales) {
  constexpr std::string_view kAxes = "tyx";
  std::int64_t pixels = 1;
  bool fits = true;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const std::string_view name = kAxes.substr(axis, 1);
    const AxisScale scale = scales[axis];
    require_range(text("extent.", name), extent[axis], 1, kMaxSize);
    check_scale(scale);
    if (axis > 0 && scale.causal()) {
      require(false, text("first.", name), text(scale.first),
              text(scale.factor, " (the factor of ", name, ")"));
    }
    fits = fits && scale.pixels(extent[axis]) <= kMaxPixels / pixels;
    if (fits) pixels *= scale.pixels(extent[axis]);
  }
  if (!fits) {
    require(false, "extent", text("(", extent[0], ", ", extent[1], ", ", extent[2], ")"),
            text("at most ", kMaxPixels, " pixel-frames"));
  }
}

void check_options(const LadderOptions& o) {
  require_range("tile", o.tile, 1, kMaxSize);
  require_range("overlap", o.overlap, 0, o.tile - 1, "tile", o.tile);
  require_range("min_tile", o.min_tile, 1, o.tile, "tile", o.tile);
  require_range("frames", o.frames, 0, kMaxSize);
  const std::int64_t most = o.frames > 0 ? o.frames - 1 : kMaxSize;
  require_range("overlap_frames", o.overlap_frames, 0, most, "frames", o.frames);
  require_range("chunk_multiple", o.chunk_multiple, 1, kMaxSize);
  require_range("stretch", o.stretch, 1000, kMaxStretch);
}

std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// Frames to latents, with the smallest legal chunk; a size that covers all becomes 0.
Rung make_rung(std::int64_t frames, std::int64_t tile, const Triple& extent, AxisScale time,
               const LadderOptions& options) {
  const bool alone = time.causal() && !options.carried;  // such a chunk needs a latent of warm-up
  const std::int64_t multiple = options.carried ? options.chunk_multiple : 1;
  Rung rung;
  const std::int64_t wanted = std::max<std::int64_t>(alone ? 2 : 1, frames / time.factor);
  const std::int64_t chunk = std::max(wanted / multiple * multiple, multiple);
  if (frames > 0 && chunk < extent[0]) {
    rung.frames = frames;
    rung.chunk = chunk;
    if (!options.carried) {
      const std::int64_t most = frames == options.frames ? chunk - 1 : chunk / 2;
      const std::int64_t asked = std::min(options.overlap_frames / time.factor, most);
      rung.chunk_overlap = std::max<std::int64_t>(alone ? 1 : 0, asked);
    }
  }
  if (tile < std::max(extent[1], extent[2])) rung.tile = tile;
  if (rung.tile > 0) {
    rung.overlap = tile == options.tile ? options.overlap : std::min(options.overlap, tile / 2);
  }
  return rung;
}

std::vector<std::pair<std::int64_t, std::int64_t>> wanted_sizes(const LadderOptions& options) {
  const std::int64_t base = options.start_tiled ? options.tile : 0;
  std::vector<std::pair<std::int64_t, std::int64_t>> sizes{{options.frames, base}};
  for (const std::int64_t frames : kTimeRungs) {
    if (options.frames == 0 || frames < options.frames) sizes.emplace_back(frames, base);
  }
  std::int64_t under = options.frames > 0 ? std::min(kTileFrames, options.frames) : kTileFrames;
  if (options.carried) under = 1;
  for (std::int64_t tile = options.tile; tile >= options.min_tile; tile /= 2) {
    sizes.emplace_back(under, tile);
  }
  return sizes;
}

std::vector<std::int64_t> all_bytes(const std::vector<Rung>& rungs, const Triple& extent,
                                    const Scales& scales, const LadderOptions& options,
                                    const CostModel& cost) {
  std::vector<std::int64_t> needs;
  needs.reserve(rungs.size());
  for (const Rung& rung : rungs) {
    needs.push_back(rung_bytes(rung, extent, scales, options, cost));
  }
  return needs;
}

}  // namespace

std::string Rung::describe() const {
  const std::string clip = chunk > 0 ? text(frames, frames > 1 ? " frames" : " frame") : "";
  const std::string edge = tile > 0 ? text("tile ", tile) : "";
  if (clip.empty() && edge.empty()) return "whole";
  return text(clip, clip.empty() || edge.empty() ? "" : ", ", edge);
}

void check_plan(const Triple& extent, const Scales& scales, const LadderOptions& options,
                const CostModel& cost) {
  check_extent(extent, scales);
  check_options(options);
  check_cost(cost);
}

Box whole_box(const Triple& extent) {
  return {Span{0, extent[0]}, Span{0, extent[1]}, Span{0, extent[2]}};
}

Grids axis_grids(const Box& box, const Rung& rung, const Scales& scales,
                 const LadderOptions& options) {
  Grids grids;
  AxisScale time = options.encode ? kOne : scales[0];
  const std::int64_t frames = box[0].length();
  if (options.carried) {
    if (box[0].begin > 0) time.first = time.factor;
    const std::int64_t chunk =
        rung.chunk > 0 ? rung.chunk : round_up(frames, options.chunk_multiple);
    grids[0] = axis_tiles(frames, chunk, 0, time, true, options.chunk_multiple);
  } else {
    grids[0] = axis_tiles(frames, rung.chunk > 0 ? rung.chunk : frames, rung.chunk_overlap, time);
  }
  for (std::size_t axis = 1; axis < 3; ++axis) {
    const std::int64_t size = box[axis].length();
    grids[axis] = axis_tiles(size, rung.tile > 0 ? rung.tile : size, rung.overlap,
                             options.encode ? kOne : scales[axis], false, 1, options.stretch);
  }
  return grids;
}

std::int64_t call_volume(const Box& box, const Rung& rung, const LadderOptions& options) {
  std::int64_t volume = box[0].length();
  if (rung.chunk > 0 && options.carried) {
    const auto chunks = chunk_grid(volume, rung.chunk, options.chunk_multiple);
    volume = std::max_element(chunks.begin(), chunks.end(), [](Span a, Span b) {
               return a.length() < b.length();
             })->length();
  } else if (rung.chunk > 0) {
    volume = even_length(volume, rung.chunk, rung.chunk_overlap);
  }
  for (std::size_t axis = 1; axis < 3; ++axis) {
    const std::int64_t size = box[axis].length();
    volume *= rung.tile > 0 ? even_length(size, rung.tile, rung.overlap, options.stretch) : size;
  }
  return volume;
}

std::vector<Rung> make_rungs(const Triple& extent, const Scales& scales,
                             const LadderOptions& options) {
  check_plan(extent, scales, options, CostModel{});
  const Box box = whole_box(extent);
  std::vector<Rung> rungs;
  for (const auto& [frames, tile] : wanted_sizes(options)) {
    const Rung rung = make_rung(frames, tile, extent, scales[0], options);
    if (rungs.empty() ||
        call_volume(box, rung, options) < call_volume(box, rungs.back(), options)) {
      rungs.push_back(rung);
    }
  }
  return rungs;
}

std::int64_t rung_bytes(const Rung& rung, const Triple& extent, const Scales& scales,
                        const LadderOptions& options, const CostModel& cost) {
  const Grids grids = axis_grids(whole_box(extent), rung, scales, options);
  Triple pixel{}, out{}, use{}, zone{};  // the largest on each axis
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const bool carried = options.carried && axis == 0;
    for (const AxisTile& tile : grids[axis]) {
      pixel[axis] = std::max(pixel[axis], scales[axis].span(tile.latent, carried).length());
      out[axis] = std::max(out[axis], tile.out.length());
      use[axis] = std::max(use[axis], tile.use.length());
      zone[axis] = std::max(zone[axis], tile.tail);
    }
  }
  const std::int64_t clip = grids[0].back().out.end;
  const std::int64_t width = grids[2].back().out.end;
  const std::int64_t lines =
      clip * (use[1] * zone[2] + zone[1] * width) + zone[0] * use[1] * use[2];
  return call_bytes(cost, pixel, out) + line_bytes(cost, lines);
}

std::string list_needs(const std::vector<Rung>& rungs, const std::vector<std::int64_t>& needs) {
  std::string list;
  for (std::size_t i = 0; i < rungs.size(); ++i) {
    list += text(i > 0 ? "; " : "", rungs[i].describe(), ": ", format_bytes(needs[i]));
  }
  return list;
}

std::int64_t choose_rung(const Triple& extent, const Scales& scales, const LadderOptions& options,
                         const CostModel& cost, std::int64_t budget) {
  check_plan(extent, scales, options, cost);
  const std::vector<Rung> rungs = make_rungs(extent, scales, options);
  const std::vector<std::int64_t> needs = all_bytes(rungs, extent, scales, options, cost);
  const auto fits = std::find_if(needs.begin(), needs.end(),
                                 [budget](std::int64_t need) { return need <= budget; });
  if (fits != needs.end()) return fits - needs.begin();
  const std::int64_t smallest = *std::min_element(needs.begin(), needs.end());
  throw BudgetError(text("budget=", budget, ": must be at least ", smallest,
                         " bytes; the rungs need: ", list_needs(rungs, needs)));
}

}  // namespace truetile
