#include "bindings/bind_plan.hpp"

#include "bindings/record.hpp"
#include "core/cost.hpp"
#include "core/grid.hpp"
#include "core/rungs.hpp"

namespace truetile::bindings {
namespace {

using py::arg;

void bind_axes(py::module_& module) {
  Record<Span>(module, "Span", "Half-open range [begin, end).")
      .field("begin", &Span::begin)
      .field("end", &Span::end)
      .done()
      .def(py::init<std::int64_t, std::int64_t>(), arg("begin"), arg("end"))
      .def_property_readonly("length", &Span::length)
      .def("shifted", &Span::shifted, arg("by"));
  Record<AxisScale>(module, "AxisScale", "n latents give first + (n - 1) * factor pixels.")
      .field("factor", &AxisScale::factor)
      .field("first", &AxisScale::first)
      .done()
      .def(py::init<std::int64_t, std::int64_t>(), arg("factor") = 1, arg("first") = 1)
      .def_property_readonly("causal", &AxisScale::causal)
      .def("pixels", &AxisScale::pixels, arg("latents"))
      .def("span", &AxisScale::span, arg("latent"), arg("carried"));
  Record<AxisTile>(module, "AxisTile", "One tile on one axis, in coordinates of its box.")
      .field("latent", &AxisTile::latent)
      .field("out", &AxisTile::out)
      .field("use", &AxisTile::use)
      .field("lead", &AxisTile::lead)
      .field("tail", &AxisTile::tail)
      .done()
      .def(py::init<Span, Span, Span, std::int64_t, std::int64_t>(), arg("latent"), arg("out"),
           arg("use"), arg("lead"), arg("tail"))
      .def_property_readonly("final", &AxisTile::final);
  module.def("axis_weights", &axis_weights, arg("tile"));
  module.def("even_grid", &even_grid, arg("size"), arg("tile"), arg("overlap"),
             arg("stretch") = 1000);
  module.def("chunk_grid", &chunk_grid, arg("size"), arg("chunk"), arg("multiple") = 1);
  module.def("axis_tiles", &axis_tiles, arg("size"), arg("tile"), arg("overlap"), arg("scale"),
             arg("carried") = false, arg("multiple") = 1, arg("stretch") = 1000);
}

void bind_options(py::module_& module) {
  const CostModel cost;
  Record<CostModel>(module, "CostModel", "Bytes of one VAE call.")
      .field("fixed_bytes", &CostModel::fixed_bytes)
      .field("bytes_per_pixel", &CostModel::bytes_per_pixel)
      .field("live_frames", &CostModel::live_frames)
      .field("out_channels", &CostModel::out_channels)
      .field("out_elem_bytes", &CostModel::out_elem_bytes)
      .done()
      .def(py::init<std::int64_t, double, std::int64_t, std::int64_t, std::int64_t>(),
           arg("fixed_bytes") = cost.fixed_bytes, arg("bytes_per_pixel") = cost.bytes_per_pixel,
           arg("live_frames") = cost.live_frames, arg("out_channels") = cost.out_channels,
           arg("out_elem_bytes") = cost.out_elem_bytes);
  const LadderOptions options;
  Record<LadderOptions>(module, "LadderOptions", "What the user and the VAE ask of a ladder.")
      .field("tile", &LadderOptions::tile)
      .field("overlap", &LadderOptions::overlap)
      .field("frames", &LadderOptions::frames)
      .field("overlap_frames", &LadderOptions::overlap_frames)
      .field("min_tile", &LadderOptions::min_tile)
      .field("carried", &LadderOptions::carried)
      .field("chunk_multiple", &LadderOptions::chunk_multiple)
      .field("encode", &LadderOptions::encode)
      .field("start_tiled", &LadderOptions::start_tiled)
      .field("stretch", &LadderOptions::stretch)
      .done()
      .def(py::init<std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t, bool,
                    std::int64_t, bool, bool, std::int64_t>(),
           arg("tile") = options.tile, arg("overlap") = options.overlap,
           arg("frames") = options.frames, arg("overlap_frames") = options.overlap_frames,
           arg("min_tile") = options.min_tile, arg("carried") = options.carried,
           arg("chunk_multiple") = options.chunk_multiple, arg("encode") = options.encode,
           arg("start_tiled") = options.start_tiled, arg("stretch") = options.stretch);
}

}  // namespace

void bind_plan(py::module_& module) {
  bind_axes(module);
  bind_options(module);
  Record<Rung>(module, "Rung", "Sizes of one rung; 0 means whole.")
      .field("frames", &Rung::frames)
      .field("tile", &Rung::tile)
      .field("chunk", &Rung::chunk)
      .field("overlap", &Rung::overlap)
      .field("chunk_overlap", &Rung::chunk_overlap)
      .done()
      .def(py::init<std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t>(),
           arg("frames"), arg("tile"), arg("chunk"), arg("overlap"), arg("chunk_overlap"))
      .def("describe", &Rung::describe);
  module.def("make_rungs", &make_rungs, arg("extent"), arg("scales"), arg("options"));
  module.def("rung_bytes", &rung_bytes, arg("rung"), arg("extent"), arg("scales"), arg("options"),
             arg("cost"));
  module.def("choose_rung", &choose_rung, arg("extent"), arg("scales"), arg("options"), arg("cost"),
             arg("budget"));
  module.def("format_bytes", &format_bytes, arg("count"));
}

}  // namespace truetile::bindings
