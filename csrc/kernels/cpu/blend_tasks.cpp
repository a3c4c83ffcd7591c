#include <algorithm>

#include "kernels/blend.hpp"

namespace truetile {
namespace {

struct Run {
  std::int64_t begin, end;  // indices in the box
};

/// Where the box is cut on an axis: fade-in zone, middle, fade-out zone; any may be empty.
struct Cuts {
  Run lead, middle, tail;

  [[nodiscard]] Run before_tail() const noexcept { return {lead.begin, middle.end}; }
  [[nodiscard]] Run all() const noexcept { return {lead.begin, tail.end}; }
};

Cuts cuts(const BlendAxis& axis) noexcept {
  const auto in_box = [&](std::int64_t index) {
    return std::clamp<std::int64_t>(index - axis.offset, 0, axis.size);
  };
  const std::int64_t lead = in_box(axis.lead);
  const std::int64_t tail = in_box(axis.tail_begin());
  return {{0, lead}, {lead, tail}, {tail, axis.size}};
}

Ramp ramp(const BlendAxis& axis, Run run) noexcept {
  const std::int64_t begin = axis.offset + run.begin;
  const std::int64_t end = axis.offset + run.end;
  return {.begin = begin,
          .size = run.end - run.begin,
          .lead = begin < axis.lead ? axis.lead : 0,
          .tail = end > axis.tail_begin() ? axis.tail : 0,
          .tail_begin = axis.tail_begin()};
}

const void* advance(const void* data, DType dtype, std::int64_t elements) noexcept {
  return static_cast<const char*>(data) + elements * element_size(dtype);
}

void* advance(void* data, DType dtype, std::int64_t elements) noexcept {
  return static_cast<char*>(data) + elements * element_size(dtype);
}

/// A box of the call that reads the block; destination and lines are filled in by the caller.
BlendTask box(const BlendArgs& args, Run t, Run y, Run x) noexcept {
  BlendTask task;
  task.channels = args.channels;
  task.t = ramp(args.t, t);
  task.y = ramp(args.y, y);
  task.x = ramp(args.x, x);
  if (task.empty()) {  // a null buffer must not be offset
    return task;
  }
  task.block_dtype = args.block_dtype;
  task.block_strides = args.block_strides;
  task.block =
      advance(args.block, args.block_dtype, args.block_strides.at(t.begin, y.begin, x.begin));
  return task;
}

// The three line buffers, addressed at the first element of a box. On its own axis a buffer counts
// slots: for reading slot = tile index, for writing slot = tile index - tail_begin.

float* slot_t(const BlendArgs& args, const BlendTask& task, std::int64_t slot) noexcept {
  return args.line_t + args.line_t_strides.at(slot, task.y.begin, task.x.begin);
}

float* slot_x(const BlendArgs& args, const BlendTask& task, std::int64_t slot) noexcept {
  return args.line_x + args.line_x_strides.at(args.t.origin + task.t.begin, task.y.begin, slot);
}

float* slot_y(const BlendArgs& args, const BlendTask& task, std::int64_t slot) noexcept {
  return args.line_y +
         args.line_y_strides.at(args.t.origin + task.t.begin, slot, args.x.origin + task.x.begin);
}

void add_t(const BlendArgs& args, BlendTask& task) noexcept {
  if (task.t.lead > 0) {
    task.line_t = {.data = slot_t(args, task, task.t.begin), .strides = args.line_t_strides};
  }
}

void add_x(const BlendArgs& args, BlendTask& task) noexcept {
  if (task.x.lead > 0) {
    task.line_x = {.data = slot_x(args, task, task.x.begin), .strides = args.line_x_strides};
  }
}

void add_y(const BlendArgs& args, BlendTask& task) noexcept {
  if (task.y.lead > 0) {
    task.line_y = {.data = slot_y(args, task, task.y.begin), .strides = args.line_y_strides};
  }
}

BlendTask to_out(const BlendArgs& args, Run t, Run y, Run x) noexcept {
  BlendTask task = box(args, t, y, x);
  if (task.empty()) {
    return task;
  }
  add_t(args, task);
  add_x(args, task);
  add_y(args, task);
  task.dst_dtype = args.out_dtype;
  task.dst_strides = args.out_strides;
  task.dst = advance(
      args.out, args.out_dtype,
      args.out_strides.at(args.t.out_origin + task.t.begin, args.y.out_origin + task.y.begin,
                          args.x.out_origin + task.x.begin));
  task.scale = args.scale;
  task.shift = args.shift;
  task.lo = args.lo;
  task.hi = args.hi;
  return task;
}

BlendTask to_line_y(const BlendArgs& args, Run t, Run y, Run x) noexcept {
  BlendTask task = box(args, t, y, x);
  if (task.empty()) {
    return task;
  }
  add_t(args, task);
  add_x(args, task);
  task.dst = slot_y(args, task, task.y.begin - args.y.tail_begin());
  task.dst_strides = args.line_y_strides;
  return task;
}

BlendTask to_line_x(const BlendArgs& args, Run t, Run y, Run x) noexcept {
  BlendTask task = box(args, t, y, x);
  if (task.empty()) {
    return task;
  }
  add_t(args, task);
  task.dst = slot_x(args, task, task.x.begin - args.x.tail_begin());
  task.dst_strides = args.line_x_strides;
  return task;
}

BlendTask to_line_t(const BlendArgs& args, Run t, Run y, Run x) noexcept {
  BlendTask task = box(args, t, y, x);
  if (task.empty()) {
    return task;
  }
  task.dst = slot_t(args, task, task.t.begin - args.t.tail_begin());
  task.dst_strides = args.line_t_strides;
  return task;
}

}  // namespace

std::array<BlendTask, 7> blend_tasks(const BlendArgs& args) noexcept {
  const Cuts t = cuts(args.t);
  const Cuts y = cuts(args.y);
  const Cuts x = cuts(args.x);
  return {
      to_out(args, t.middle, y.middle, x.middle),
      to_out(args, t.middle, y.middle, x.lead),
      to_out(args, t.middle, y.lead, x.before_tail()),
      to_out(args, t.lead, y.before_tail(), x.before_tail()),
      to_line_y(args, t.before_tail(), y.tail, x.before_tail()),
      to_line_x(args, t.before_tail(), y.all(), x.tail),
      to_line_t(args, t.tail, y.all(), x.all()),
  };
}

}  // namespace truetile
