#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <string>
#include <type_traits>
#include <vector>

namespace truetile::bindings {

namespace py = pybind11;

template <typename T, std::size_t N>
py::tuple as_tuple(const std::array<T, N>& values) {
  py::tuple tuple(N);
  for (std::size_t i = 0; i < N; ++i) tuple[i] = py::cast(values[i]);
  return tuple;
}

/// An immutable value in Python: fields, equality, hash and repr as of a frozen dataclass, so that
/// both backends of truetile.plan look alike.
template <typename T>
class Record {
 public:
  Record(py::module_& module, const char* name, const char* doc)
      : name_(name), class_(module, name, doc) {}

  template <typename Field>
  Record& field(const char* name, Field T::* member) {
    class_.def_readonly(name, member);
    names_.emplace_back(name);
    return *this;
  }

  template <typename Element, std::size_t N>
  Record& field(const char* name, std::array<Element, N> T::* member) {
    class_.def_property_readonly(name, [member](const T& self) { return as_tuple(self.*member); });
    names_.emplace_back(name);
    return *this;
  }

  template <typename Element>
  Record& field(const char* name, std::vector<Element> T::* member) {
    class_.def_property_readonly(
        name, [member](const T& self) { return py::tuple(py::cast(self.*member)); });
    names_.emplace_back(name);
    return *this;
  }

  /// A field that Python sees as something else than C++ does, such as an enum by its name.
  template <typename Get>
  Record& property(const char* name, Get get) {
    class_.def_property_readonly(name, get);
    names_.emplace_back(name);
    return *this;
  }

  /// Adds repr, equality and hash over the fields so far; gives the class for more.
  py::class_<T>& done() {
    const auto values = [names = names_](const py::object& self) {
      py::tuple tuple(names.size());
      for (std::size_t i = 0; i < names.size(); ++i) tuple[i] = self.attr(names[i].c_str());
      return tuple;
    };
    class_.def("__hash__", [values](const py::object& self) { return py::hash(values(self)); });
    class_.def("__eq__", [values](const py::object& self, const py::object& other) -> py::object {
      if (!py::isinstance<T>(other)) return py::reinterpret_borrow<py::object>(Py_NotImplemented);
      return py::bool_(values(self).equal(values(other)));
    });
    class_.def("__repr__", [values, names = names_, name = name_](const py::object& self) {
      const py::tuple fields = values(self);
      std::string text = name + "(";
      for (std::size_t i = 0; i < names.size(); ++i) {
        text += (i > 0 ? ", " : "") + names[i] + "=" + std::string(py::repr(fields[i]));
      }
      return text + ")";
    });
    return class_;
  }

 private:
  std::string name_;
  std::vector<std::string> names_;
  py::class_<T> class_;
};

}  // namespace truetile::bindings
