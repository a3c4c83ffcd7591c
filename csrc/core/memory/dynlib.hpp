#pragma once

#include <initializer_list>

namespace truetile::memory {

/// A shared library that is looked for at run time; the process works without it.
class DynamicLibrary {
 public:
  /// Tries the names in order; `ok()` says whether one was found.
  explicit DynamicLibrary(std::initializer_list<const char*> names);
  ~DynamicLibrary();
  DynamicLibrary(const DynamicLibrary&) = delete;
  DynamicLibrary& operator=(const DynamicLibrary&) = delete;

  [[nodiscard]] bool ok() const noexcept { return handle_ != nullptr; }

  /// The function called `name`, or nullptr.
  template <typename Function>
  [[nodiscard]] Function find(const char* name) const {
    return reinterpret_cast<Function>(symbol(name));
  }

 private:
  [[nodiscard]] void* symbol(const char* name) const;

  void* handle_ = nullptr;
};

}  // namespace truetile::memory
