#include "bindings/bind_plan.hpp"
#include "bindings/record.hpp"
#include "core/stream/passes.hpp"
#include "core/stream/plan.hpp"
#include "core/stream/values.hpp"

namespace truetile::bindings {
namespace {

using py::arg;

void bind_layers(py::module_& module) {
  py::enum_<LayerKind>(module, "LayerKind", "What a layer does beyond its spatial geometry.")
      .value("CONV", LayerKind::kConv)
      .value("ATTENTION", LayerKind::kAttention)
      .value("TIME_UP", LayerKind::kTimeUp)
      .value("TIME_DOWN", LayerKind::kTimeDown)
      .value("CLIP_ATTENTION", LayerKind::kClipAttention)
      .value("SHUFFLE", LayerKind::kShuffle);
  py::enum_<AttentionWay>(module, "AttentionWay", "How attention is computed.")
      .value("FUSED", AttentionWay::kFused)
      .value("PRODUCTS", AttentionWay::kProducts)
      .value("MATH", AttentionWay::kMath);
  py::enum_<TimeRule>(module, "TimeRule", "What becomes of the frames behind the first one.")
      .value("SAME", TimeRule::kSame)
      .value("DOUBLE", TimeRule::kDouble)
      .value("HALVE", TimeRule::kHalve)
      .value("DOUBLE_ALL", TimeRule::kDoubleAll)
      .value("HALVE_ALL", TimeRule::kHalveAll)
      .def_property_readonly("doubles", &doubles)
      .def_property_readonly("halves", &halves);
  py::enum_<Handover>(module, "Handover", "How what a convolution makes gets to the next layer.")
      .value("WINDOW", Handover::kWindow)
      .value("JOINED", Handover::kJoined)
      .value("DIRECT", Handover::kDirect);
  module.def("frames_read", &frames_read, arg("rule"), arg("made"));
  Record<Shuffle>(module, "Shuffle", "How a value is read without weights.")
      .field("up", &Shuffle::up)
      .field("down", &Shuffle::down)
      .field("time", &Shuffle::time)
      .done()
      .def(py::init<std::int64_t, std::int64_t, TimeRule>(), arg("up") = 1, arg("down") = 1,
           arg("time") = TimeRule::kSame)
      .def("rows", &Shuffle::rows, arg("out"));
  Record<AxisRule>(module, "AxisRule", "A convolution along rows or columns.")
      .field("kernel", &AxisRule::kernel)
      .field("stride", &AxisRule::stride)
      .field("before", &AxisRule::before)
      .field("after", &AxisRule::after)
      .field("up", &AxisRule::up)
      .done()
      .def(py::init<std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t>(),
           arg("kernel") = 1, arg("stride") = 1, arg("before") = 0, arg("after") = 0, arg("up") = 1)
      .def_property_readonly("taps", &AxisRule::taps)
      .def("lead", &AxisRule::lead, arg("out"))
      .def("padded", &AxisRule::padded, arg("begin"), arg("end"))
      .def("size", &AxisRule::size, arg("n"))
      .def("begin", &AxisRule::begin, arg("out"), arg("n"))
      .def("end", &AxisRule::end, arg("out"), arg("n"));
  Record<StreamLayer>(module, "StreamLayer", "Geometry of one layer.")
      .field("kind", &StreamLayer::kind)
      .field("source", &StreamLayer::source)
      .field("in_channels", &StreamLayer::in_channels)
      .field("out_channels", &StreamLayer::out_channels)
      .field("residual", &StreamLayer::residual)
      .field("kernel_t", &StreamLayer::kernel_t)
      .field("rows", &StreamLayer::rows)
      .field("columns", &StreamLayer::columns)
      .field("padded", &StreamLayer::padded)
      .field("shuffle", &StreamLayer::shuffle)
      .field("shortcut", &StreamLayer::shortcut)
      .field("residual_channels", &StreamLayer::residual_channels)
      .field("groups", &StreamLayer::groups)
      .field("time_rule", &StreamLayer::time_rule)
      .field("way", &StreamLayer::way)
      .done()
      .def(py::init<LayerKind, std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t,
                    AxisRule, AxisRule, bool, Shuffle, Shuffle, std::int64_t, std::int64_t,
                    TimeRule, AttentionWay>(),
           arg("kind"), arg("source"), arg("in_channels"), arg("out_channels"),
           arg("residual") = -1, arg("kernel_t") = 1, arg("rows") = AxisRule{},
           arg("columns") = AxisRule{}, arg("padded") = true, arg("shuffle") = Shuffle{},
           arg("shortcut") = Shuffle{}, arg("residual_channels") = 0, arg("groups") = 0,
           arg("time_rule") = TimeRule::kSame, arg("way") = AttentionWay::kFused)
      .def_property_readonly("attends", &StreamLayer::attends)
      .def_property_readonly("up_t", &StreamLayer::up_t)
      .def_property_readonly("taps_t", &StreamLayer::taps_t)
      .def_property_readonly("cached_frames", &StreamLayer::cached_frames)
      .def_property_readonly("time", &StreamLayer::time)
      .def("frames", &StreamLayer::frames, arg("n"));
  module.def(
      "value_sizes",
      [](const Layers& layers, const Size& clip) {
        py::list sizes;
        for (const Size& size : value_sizes(layers, clip)) sizes.append(as_tuple(size));
        return sizes;
      },
      arg("layers"), arg("clip"));
}

void bind_steps(py::module_& module) {
  Record<LayerRows>(module, "LayerRows", "One layer in one strip.")
      .field("out", &LayerRows::out)
      .field("read", &LayerRows::read)
      .field("top", &LayerRows::top)
      .field("bottom", &LayerRows::bottom)
      .field("padded", &LayerRows::padded)
      .done();
  Record<ValueRows>(module, "ValueRows", "Rows on hand in a strip, and those kept after it.")
      .field("window", &ValueRows::window)
      .field("keep", &ValueRows::keep)
      .done();
  Record<StripRows>(module, "StripRows", "One strip of a segment.")
      .field("layers", &StripRows::layers)
      .field("values", &StripRows::values)
      .done();
  Record<LayerFrames>(module, "LayerFrames", "Frames that a layer reads and makes in a chunk.")
      .field("read", &LayerFrames::read)
      .field("out", &LayerFrames::out)
      .done()
      .def("convolved", &LayerFrames::convolved, arg("kind"));
}

py::list size_list(const std::vector<Size>& sizes) {
  py::list list;
  for (const Size& size : sizes) list.append(as_tuple(size));
  return list;
}

void bind_schedule(py::module_& module) {
  Record<Segment>(module, "Segment", "Layers [first, last) in strips and chunks; 0 is whole.")
      .field("first", &Segment::first)
      .field("last", &Segment::last)
      .field("rows", &Segment::rows)
      .field("chunk", &Segment::chunk)
      .field("keep", &Segment::keep)
      .field("over", &Segment::over)
      .field("queries", &Segment::queries)
      .done()
      .def(py::init<std::int64_t, std::int64_t, std::int64_t, std::int64_t, bool, std::int64_t,
                    std::int64_t>(),
           arg("first"), arg("last"), arg("rows") = 0, arg("chunk") = 0, arg("keep") = true,
           arg("over") = -1, arg("queries") = 0);
  py::class_<Schedule>(module, "Schedule", "One segment with its memory to the byte.")
      .def(py::init<const Layers&, const Size&, const Segment&, std::int64_t, std::int64_t>(),
           arg("layers"), arg("clip"), arg("segment"), arg("elem_bytes"), arg("begin") = 0)
      .def("strip", &Schedule::strip, arg("index"))
      .def(
          "chunk",
          [](const Schedule& self, std::int64_t index) {
            return py::tuple(py::cast(self.chunk(index)));
          },
          arg("index"))
      .def("made", [](const Schedule& self, std::size_t at) { return as_tuple(self.made(at)); })
      .def("reads_ahead", &Schedule::reads_ahead, arg("value"))
      .def("handover", &Schedule::handover, arg("at"))
      .def("queries", &Schedule::queries, arg("at"))
      .def("strip_macs", &Schedule::strip_macs, arg("index"))
      .def_property_readonly("segment", &Schedule::segment)
      .def_property_readonly("elem_bytes", &Schedule::elem_bytes)
      .def_property_readonly("sizes", [](const Schedule& s) { return size_list(s.sizes()); })
      .def_property_readonly("lines", [](const Schedule& s) { return size_list(s.lines()); })
      .def_property_readonly("caches", [](const Schedule& s) { return size_list(s.caches()); })
      .def_property_readonly("offsets",
                             [](const Schedule& s) { return py::tuple(py::cast(s.offsets())); })
      .def_property_readonly("calls",
                             [](const Schedule& s) { return py::tuple(py::cast(s.calls())); })
      .def_property_readonly("strip_count", &Schedule::strip_count)
      .def_property_readonly("chunk_count", &Schedule::chunk_count)
      .def_property_readonly("workspace_bytes", &Schedule::workspace_bytes)
      .def_property_readonly("line_bytes", &Schedule::line_bytes)
      .def_property_readonly("cache_bytes", &Schedule::cache_bytes)
      .def_property_readonly("call_bytes", &Schedule::call_bytes)
      .def_property_readonly("landing_bytes", &Schedule::landing_bytes)
      .def_property_readonly("departure_bytes", &Schedule::departure_bytes)
      .def_property_readonly("peak_bytes", &Schedule::peak_bytes);
  module.def("attention_rows", &attention_rows, arg("tokens"), arg("way"));
  module.def("attention_choices", &attention_choices, arg("tokens"), arg("way"));
  module.def("attention_bytes", &attention_bytes, arg("tokens"), arg("rows"), arg("channels"),
             arg("elem_bytes"), arg("way"));
  module.def("attention_piece", &attention_piece, arg("tokens"), arg("rows"));
}

}  // namespace

void bind_stream(py::module_& module) {
  bind_layers(module);
  bind_steps(module);
  bind_schedule(module);
  const Speed speed;
  Record<Speed>(module, "Speed", "A rough machine.")
      .field("macs", &Speed::macs)
      .field("bytes", &Speed::bytes)
      .field("gap", &Speed::gap)
      .field("launch", &Speed::launch)
      .done()
      .def(py::init<double, double, double, double>(), arg("macs") = speed.macs,
           arg("bytes") = speed.bytes, arg("gap") = speed.gap, arg("launch") = speed.launch);
  Record<StreamPlan>(module, "StreamPlan", "Segments in order, peak bytes and predicted seconds.")
      .field("segments", &StreamPlan::segments)
      .field("bytes", &StreamPlan::bytes)
      .field("seconds", &StreamPlan::seconds)
      .done()
      .def(py::init<std::vector<Segment>, std::int64_t, double>(), arg("segments"), arg("bytes"),
           arg("seconds"))
      .def("describe", &StreamPlan::describe);
  module.def("cuts", &cuts, arg("layers"), arg("clip"));
  module.def("pass_targets", &pass_targets, arg("layers"));
  module.def(
      "outside_reads",
      [](const Layers& layers, const Segment& segment) {
        return py::set(py::cast(outside_reads(layers, segment)));
      },
      arg("layers"), arg("segment"));
  module.def("make_passes", &make_passes, arg("layers"), arg("clip"), arg("stored"), arg("rows"));
  module.def("plan_bytes", &plan_bytes, arg("layers"), arg("clip"), arg("segments"),
             arg("elem_bytes"));
  module.def("candidates", &candidates, arg("layers"), arg("clip"), arg("elem_bytes"),
             arg("speed") = speed, arg("weights") = std::vector<std::int64_t>{});
  module.def("choose_plan", &choose_plan, arg("plans"), arg("budget"), arg("slack") = 1.0,
             arg("byte_seconds") = 0.0);
}

}  // namespace truetile::bindings
