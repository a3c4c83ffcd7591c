#pragma once

#include <pybind11/pybind11.h>

namespace truetile::bindings {

/// Grids, rungs and cost estimates, named as in truetile/native/plan.py.
void bind_plan(pybind11::module_& module);

/// Ladder, Step and Level, likewise.
void bind_ladder(pybind11::module_& module);

/// Layers, schedules and plans of the exact engine, named as in truetile/native/stream.
void bind_stream(pybind11::module_& module);

}  // namespace truetile::bindings
