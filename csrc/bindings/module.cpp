// Python module `_truetile_core`: torch-free objects only, no logic of its own.
#include <pybind11/pybind11.h>

#include "core/version.hpp"

namespace py = pybind11;

PYBIND11_MODULE(_truetile_core, m) {
  m.doc() = "TrueTile's C++ core: tile grids, the fallback ladder and byte estimates.";
  m.attr("__version__") = py::str(std::string(truetile::version()));
}
