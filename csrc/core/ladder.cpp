#include "core/ladder.hpp"

#include <string>
#include <utility>

#include "core/error.hpp"

namespace truetile {

Ladder::Ladder(const Triple& extent, const Scales& scales, const LadderOptions& options,
               const CostModel& cost, std::int64_t start_rung)
    : scales_(scales), options_(options), cost_(cost), deepest_(start_rung) {
  check_plan(extent, scales, options, cost);
  rungs_ = make_rungs(extent, scales, options);
  for (const Rung& rung : rungs_) {
    bytes_.push_back(truetile::rung_bytes(rung, extent, scales, options, cost));
  }
  require_range("start_rung", start_rung, 0, static_cast<std::int64_t>(rungs_.size()) - 1);
  counts_.resize(rungs_.size());
  stack_.push_back(make_frame(whole_box(extent), start_rung));
  const Triple& size = stack_.back().size();
  total_ = size[0] * size[1] * size[2];
}

std::optional<Step> Ladder::next() {
  if (open_) {
    require(false, "step", text(*open_), "reported by done or out_of_memory before next");
  }
  while (!stack_.empty()) {
    if (stack_.back().complete()) {
      stack_.pop_back();
      if (!stack_.empty()) stack_.back().next_tile();
    } else if (stack_.back().rung() < deepest_) {
      push(deepest_);
    } else {
      return issue();
    }
  }
  return std::nullopt;
}

void Ladder::done(const Step& step) {
  check_open(step);
  open_.reset();
  ++counts_[static_cast<std::size_t>(step.rung)].done;
  finished_ += final_volume(step.levels);
  computed_ += volume(step.latent);
  if (step.last_in_tile) {
    stack_.back().next_tile();
  } else {
    stack_.back().next_chunk();
  }
}

void Ladder::out_of_memory(const Step& step) {
  check_open(step);
  Frame& top = stack_.back();
  const Box box = top.finished() ? top.sub_box(true) : top.box();
  const std::int64_t rung = smaller_rung(box, step);
  Frame frame = make_frame(box, rung);
  if (top.finished()) {
    stack_.push_back(std::move(frame));
  } else {
    top = std::move(frame);
  }
  open_.reset();
  ++counts_[static_cast<std::size_t>(step.rung)].out_of_memory;
  deepest_ = rung;
}

Frame Ladder::make_frame(const Box& box, std::int64_t rung) {
  const Rung& sizes = rungs_[static_cast<std::size_t>(rung)];
  return {frames_++, box, rung, axis_grids(box, sizes, scales_, options_)};
}

void Ladder::push(std::int64_t rung) {
  stack_.push_back(make_frame(stack_.back().sub_box(true), rung));
}

Step Ladder::issue() {
  const Frame& top = stack_.back();
  Step step;
  step.id = steps_++;
  step.depth = static_cast<std::int64_t>(stack_.size()) - 1;
  step.rung = top.rung();
  step.latent = top.sub_box(false);
  for (const Frame& frame : stack_) step.levels.push_back(frame.level(&frame != &top));

  Triple pixel{}, out{};
  for (std::size_t axis = 0; axis < 3; ++axis) {
    step.pixel[axis] = scales_[axis].span(step.latent[axis], options_.carried && axis == 0);
    pixel[axis] = step.pixel[axis].length();
    out[axis] = step.axes()[axis].out.length();
  }
  step.bytes = call_bytes(cost_, pixel, out);
  step.first_in_time = step.latent[0].begin == 0;
  step.starts_tile = top.starts_tile();
  step.last_in_tile = top.last_in_tile();

  step.cache_depth = cache_depth(step.levels);
  step.inherits_cache = step.cache_depth >= 0 && step.cache_depth < step.depth;
  // Without an outer source the crop is all of the step's own tile.
  const Level& source = step.inherits_cache
                            ? step.levels[static_cast<std::size_t>(step.cache_depth)]
                            : step.levels.back();
  for (std::size_t axis = 1; axis < 3; ++axis) {
    const std::int64_t tile_begin = source.box[axis].begin + source.axes[axis].latent.begin;
    step.cache_crop[axis - 1] = step.latent[axis].shifted(-tile_begin);
  }
  open_ = step.id;
  ++counts_[static_cast<std::size_t>(step.rung)].issued;
  return step;
}

/// The deepest level that has already run chunks of the tile this step lies in.
std::int64_t Ladder::cache_depth(const std::vector<Level>& levels) const {
  if (!options_.carried) return -1;
  auto depth = static_cast<std::int64_t>(levels.size()) - 1;
  while (depth >= 0 && levels[static_cast<std::size_t>(depth)].index[0] == 0) --depth;
  return depth;
}

std::int64_t Ladder::smaller_rung(const Box& box, const Step& step) const {
  const auto count = static_cast<std::int64_t>(rungs_.size());
  const std::int64_t failed = volume(step.latent);
  for (std::int64_t rung = step.rung + 1; rung < count; ++rung) {
    if (call_volume(box, rungs_[static_cast<std::size_t>(rung)], options_) < failed) return rung;
  }
  throw LadderExhausted(
      text("step=", step.id, ": out of memory at rung ", step.rung + 1, " of ", count, " (",
           rungs_[static_cast<std::size_t>(step.rung)].describe(),
           "), and no rung makes the call smaller; the rungs need: ", list_needs(rungs_, bytes_)));
}

void Ladder::check_open(const Step& step) const {
  if (open_ && *open_ == step.id) return;
  require(false, "step", text(step.id),
          open_ ? text(*open_, ", the open step") : "a step that next gave");
}

}  // namespace truetile
