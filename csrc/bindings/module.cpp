// Python module `_truetile_core`: torch-free objects only, no logic of its own.
#include <pybind11/pybind11.h>

#include <exception>
#include <string>

#include "bindings/bind_memory.hpp"
#include "bindings/bind_plan.hpp"
#include "core/error.hpp"
#include "core/version.hpp"

namespace py = pybind11;

namespace {

constexpr const char* kModule = "_truetile_core";

/// The exception classes are Python's (truetile/errors.py); truetile/plan.py puts them here.
void raise_as(const char* name, const std::exception& error) {
  const py::object type = py::module_::import(kModule).attr(name);
  py::set_error(type, error.what());
}

void translate(std::exception_ptr pointer) {
  try {
    if (pointer) std::rethrow_exception(pointer);
  } catch (const truetile::InvalidArgument& error) {
    raise_as("InvalidArgument", error);
  } catch (const truetile::BudgetError& error) {
    raise_as("BudgetError", error);
  } catch (const truetile::LadderExhausted& error) {
    raise_as("LadderExhausted", error);
  }
}

}  // namespace

PYBIND11_MODULE(_truetile_core, m) {
  m.doc() = "TrueTile's C++ core: tile grids, the fallback ladder, byte estimates, memory.";
  m.attr("__version__") = py::str(std::string(truetile::version()));
  m.attr("InvalidArgument") = py::reinterpret_borrow<py::object>(PyExc_ValueError);
  m.attr("BudgetError") = py::reinterpret_borrow<py::object>(PyExc_RuntimeError);
  m.attr("LadderExhausted") = py::reinterpret_borrow<py::object>(PyExc_RuntimeError);
  py::register_local_exception_translator(&translate);
  truetile::bindings::bind_plan(m);
  truetile::bindings::bind_ladder(m);
  truetile::bindings::bind_memory(m);
  truetile::bindings::bind_stream(m);
}
