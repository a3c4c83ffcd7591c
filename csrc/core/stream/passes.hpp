#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "core/stream/costs.hpp"
#include "core/stream/layer.hpp"
#include "core/stream/schedule.hpp"

namespace truetile {

// A group norm needs the moments of its whole source before its layer makes one row. Such a program
// runs as passes: each makes one target (a norm's source, a side of an attention, the output) from
// values stored before, and stores it or only gathers its moments. What is stored decides memory
// and time: a pass from an earlier value repeats all layers in between.

/// Values that a pass must end at, in order.
[[nodiscard]] std::vector<std::int64_t> pass_targets(const Layers& layers);

/// Values made before a segment that it reads; without the program's input.
[[nodiscard]] std::set<std::int64_t> outside_reads(const Layers& layers, const Segment& segment);

/// Whether layers [first, last) need whole frames.
[[nodiscard]] bool has_attention(const Layers& layers, std::int64_t first, std::int64_t last);

/// Numbers of queries to choose from in layers [first, last), falling; only 0 without attention.
[[nodiscard]] std::vector<std::int64_t> query_choices(const Layers& layers,
                                                      const std::vector<Size>& sizes,
                                                      std::int64_t first, std::int64_t last);

/// Whether a segment may write its result in the memory of `value`, which it reads.
[[nodiscard]] bool may_overwrite(const Layers& layers, const Size& clip, const Segment& one,
                                 std::int64_t value);

/// Peak of device memory of any list of segments, with the stores alive in each.
[[nodiscard]] std::int64_t plan_bytes(const Layers& layers, const Size& clip,
                                      const std::vector<Segment>& segments,
                                      std::int64_t elem_bytes);

/// The passes that store just these values, in strips of `rows` output rows. Each begins as late as
/// it can, and writes over a value that is not read any more where it can. Attention runs whole.
[[nodiscard]] std::vector<Segment> make_passes(const Layers& layers, const Size& clip,
                                               const std::vector<std::int64_t>& stored,
                                               std::int64_t rows);

/// Plans in passes, fastest first, each smaller than those before it.
[[nodiscard]] std::vector<StreamPlan> pass_plans(const Layers& layers, const Size& clip,
                                                 std::int64_t elem_bytes, const Speed& speed);

}  // namespace truetile
