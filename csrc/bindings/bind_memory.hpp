#pragma once

#include <pybind11/pybind11.h>

namespace truetile::bindings {

/// Submodule `memory`: accounts, verdicts, fragmentation and the sampler, named as in
/// truetile/native/memory.
void bind_memory(pybind11::module_& module);
void bind_sampler(pybind11::module_& memory);

}  // namespace truetile::bindings
