#include "bindings/bind_plan.hpp"
#include "bindings/record.hpp"
#include "core/ladder.hpp"

namespace truetile::bindings {

void bind_ladder(py::module_& module) {
  using py::arg;
  Record<Level>(module, "Level", "One frame of the ladder's stack as a step sees it.")
      .field("frame", &Level::frame)
      .field("rung", &Level::rung)
      .field("box", &Level::box)
      .field("size", &Level::size)
      .field("axes", &Level::axes)
      .field("index", &Level::index)
      .field("count", &Level::count)
      .field("max_use", &Level::max_use)
      .field("max_zone", &Level::max_zone)
      .done();
  Record<Step>(module, "Step", "One VAE call.")
      .field("id", &Step::id)
      .field("depth", &Step::depth)
      .field("rung", &Step::rung)
      .field("latent", &Step::latent)
      .field("pixel", &Step::pixel)
      .field("levels", &Step::levels)
      .field("bytes", &Step::bytes)
      .field("first_in_time", &Step::first_in_time)
      .field("starts_tile", &Step::starts_tile)
      .field("last_in_tile", &Step::last_in_tile)
      .field("inherits_cache", &Step::inherits_cache)
      .field("cache_depth", &Step::cache_depth)
      .field("cache_crop", &Step::cache_crop)
      .done()
      .def_property_readonly("axes", [](const Step& step) { return as_tuple(step.axes()); });
  Record<RungCount>(module, "RungCount", "Steps of one rung.")
      .field("issued", &RungCount::issued)
      .field("done", &RungCount::done)
      .field("out_of_memory", &RungCount::out_of_memory)
      .done();
  py::class_<Ladder>(module, "Ladder", "Issues VAE calls and goes down when memory runs out.")
      .def(py::init<const Triple&, const Scales&, const LadderOptions&, const CostModel&,
                    std::int64_t>(),
           arg("extent"), arg("scales"), arg("options"), arg("cost"), arg("start_rung") = 0)
      .def("next", &Ladder::next)
      .def("done", &Ladder::done, arg("step"))
      .def("out_of_memory", &Ladder::out_of_memory, arg("step"))
      .def_property_readonly("rungs", &Ladder::rungs)
      .def_property_readonly("rung_bytes", &Ladder::rung_bytes)
      .def_property_readonly("counts", &Ladder::counts)
      .def_property_readonly("deepest_rung", &Ladder::deepest_rung)
      .def_property_readonly("finished_pixels", &Ladder::finished_pixels)
      .def_property_readonly("total_pixels", &Ladder::total_pixels)
      .def_property_readonly("computed_latents", &Ladder::computed_latents);
}

}  // namespace truetile::bindings
