#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
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

/// Hashes of a record's fields. Python's own way, a tuple of them, makes an object of each: a
/// program's layers, the key of what is remembered of it, would take as long as a small kernel.
template <typename T>
inline std::vector<std::function<std::size_t(const T&)>> field_hashes;

[[nodiscard]] inline std::size_t joined_hash(std::size_t all, std::size_t one) noexcept {
  constexpr std::uint64_t kFactor = 0x9E3779B97F4A7C15;  // 2^64 over the golden ratio: odd bits
  const std::uint64_t mixed = (all ^ one) * kFactor;
  return static_cast<std::size_t>(mixed ^ (mixed >> 32));
}

/// Of a number, a text, a list or a `Record`.
template <typename Value>
[[nodiscard]] std::size_t hash_of(const Value& value) {
  std::size_t hash = 0;
  if constexpr (requires { std::hash<Value>{}(value); }) {
    hash = std::hash<Value>{}(value);
  } else if constexpr (requires { value.begin(); }) {
    for (const auto& one : value) hash = joined_hash(hash, hash_of(one));
  } else {
    for (const auto& field : field_hashes<Value>) hash = joined_hash(hash, field(value));
  }
  return hash;
}

/// An immutable value in Python: fields, equality, hash and repr as of a frozen dataclass, so that
/// both backends of truetile.plan look alike.
template <typename T>
class Record {
 public:
  Record(py::module_& module, const char* name, const char* doc)
      : name_(name), class_(module, name, doc) {
    field_hashes<T>.clear();
  }

  template <typename Field>
  Record& field(const char* name, Field T::* member) {
    class_.def_readonly(name, member);
    told(name, member);
    return *this;
  }

  template <typename Element, std::size_t N>
  Record& field(const char* name, std::array<Element, N> T::* member) {
    class_.def_property_readonly(name, [member](const T& self) { return as_tuple(self.*member); });
    told(name, member);
    return *this;
  }

  template <typename Element>
  Record& field(const char* name, std::vector<Element> T::* member) {
    class_.def_property_readonly(
        name, [member](const T& self) { return py::tuple(py::cast(self.*member)); });
    told(name, member);
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
    if constexpr (std::equality_comparable<T>) {
      class_.def("__hash__", &hash_of<T>);
    } else {
      class_.def("__hash__", [values](const py::object& self) { return py::hash(values(self)); });
    }
    class_.def("__eq__", [values](const py::object& self, const py::object& other) -> py::object {
      if (!py::isinstance<T>(other)) return py::reinterpret_borrow<py::object>(Py_NotImplemented);
      if constexpr (std::equality_comparable<T>) {
        return py::bool_(self.cast<const T&>() == other.cast<const T&>());
      } else {
        return py::bool_(values(self).equal(values(other)));
      }
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
  template <typename Field>
  void told(const char* name, Field T::* member) {
    names_.emplace_back(name);
    if constexpr (std::equality_comparable<T>) {
      field_hashes<T>.emplace_back([member](const T& self) { return hash_of(self.*member); });
    }
  }

  std::string name_;
  std::vector<std::string> names_;
  py::class_<T> class_;
};

}  // namespace truetile::bindings
