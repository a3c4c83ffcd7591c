#pragma once

#include "ops/checks.hpp"

namespace truetile::ops {

/// The arguments of `truetile::blend_tile` as they come from the dispatcher.
struct BlendCall {
  const Tensor &block, &out, &line_x, &line_y, &line_t;
  const Ints &use, &lead, &tail, &offset, &origin, &out_origin;
  double scale, shift, lo, hi;
};

/// Check one axis of the triples against the box and against `out`.
inline BlendAxis blend_axis(const BlendCall& call, std::size_t i) {
  const char* op = "blend_tile";
  const auto dim = static_cast<std::int64_t>(i) + 1;
  BlendAxis axis;
  axis.size = call.block.size(dim);
  axis.use = call.use[i];
  axis.lead = call.lead[i];
  axis.tail = call.tail[i];
  axis.offset = call.offset[i];
  axis.origin = call.origin[i];
  axis.out_origin = call.out_origin[i];
  const std::string use = "use=" + std::to_string(axis.use);
  if (axis.use < 0) {
    fail(op, "use[" + std::to_string(i) + "]", axis.use,
         std::string("must be >= 0 (axis ") + kAxes[i] + ")");
  }
  check_range(op, "tail", i, axis.tail, 0, axis.use, use);
  check_range(op, "lead", i, axis.lead, 0, axis.use - axis.tail,
              use + ", tail=" + std::to_string(axis.tail));
  check_range(op, "offset", i, axis.offset, 0, axis.use - axis.size,
              use + ", block=" + std::to_string(axis.size));
  if (axis.origin < 0) {
    fail(op, "origin[" + std::to_string(i) + "]", axis.origin,
         std::string("must be >= 0 (axis ") + kAxes[i] + ")");
  }
  // Only what becomes final is written: the tail zone stays in the line buffer.
  const std::int64_t final =
      std::clamp<std::int64_t>(axis.tail_begin() - axis.offset, 0, axis.size);
  check_range(op, "out_origin", i, axis.out_origin, -axis.offset,
              call.out.size(dim) - final - axis.offset,
              "out=" + std::to_string(call.out.size(dim)) +
                  ", offset=" + std::to_string(axis.offset) + ", final=" + std::to_string(final));
  return axis;
}

/// Check everything and turn tensors into pointers. `out` may be CPU memory beside a CUDA block:
/// its pointer is then still the host's.
inline BlendArgs blend_args(const BlendCall& call) {
  const char* op = "blend_tile";
  BlendArgs args;
  check_rank(op, "block", call.block, 4);
  args.block_dtype = float_type(op, "block", call.block);
  check_rank(op, "out", call.out, 4);
  args.out_dtype = float_type(op, "out", call.out);
  const std::array<std::pair<const char*, const Ints*>, 6> triples = {
      {{"use", &call.use},
       {"lead", &call.lead},
       {"tail", &call.tail},
       {"offset", &call.offset},
       {"origin", &call.origin},
       {"out_origin", &call.out_origin}}};
  for (const auto& [name, values] : triples) {
    if (values->size() != 3) {
      fail(op, std::string("len(") + name + ")", values->size(), "must be 3 (t, y, x)");
    }
  }
  if (!(call.lo <= call.hi)) {
    std::ostringstream rule;
    rule << "must be <= hi=" << call.hi;
    fail(op, "lo", call.lo, rule.str());
  }
  args.channels = call.block.size(0);
  if (call.out.size(0) != args.channels) {
    fail(op, "out.size(0)", call.out.size(0),
         "must be " + std::to_string(args.channels) + " (channels of block)");
  }
  if (!same_device(call.out, call.block) && !(call.out.is_cpu() && call.block.is_cuda())) {
    fail(op, "out.device", device_name(call.out),
         "must be " + device_name(call.block) + " (block) or pinned cpu memory");
  }
  args.t = blend_axis(call, 0);
  args.y = blend_axis(call, 1);
  args.x = blend_axis(call, 2);

  const std::int64_t c = args.channels;
  const std::int64_t zone_t = std::max(args.t.lead, args.t.tail);
  const std::int64_t zone_y = std::max(args.y.lead, args.y.tail);
  const std::int64_t zone_x = std::max(args.x.lead, args.x.tail);
  const std::int64_t frames = args.t.origin + args.t.use;
  const std::int64_t columns = args.x.origin + args.x.use;
  args.line_x = line_data(op, "line_x", call.line_x, call.block, zone_x,
                          {c, frames, args.y.use, zone_x}, args.line_x_strides);
  args.line_y = line_data(op, "line_y", call.line_y, call.block, zone_y,
                          {c, frames, zone_y, columns}, args.line_y_strides);
  args.line_t = line_data(op, "line_t", call.line_t, call.block, zone_t,
                          {c, zone_t, args.y.use, args.x.use}, args.line_t_strides);

  args.block = call.block.const_data_ptr();
  args.block_strides = strides_of(call.block);
  args.out = call.out.mutable_data_ptr();
  args.out_strides = strides_of(call.out);
  args.scale = static_cast<float>(call.scale);
  args.shift = static_cast<float>(call.shift);
  args.lo = static_cast<float>(call.lo);
  args.hi = static_cast<float>(call.hi);
  return args;
}

}  // namespace truetile::ops
