#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/memory/phase.hpp"

namespace truetile::memory {

/// Something the sampler reads; it fills the channels it knows and leaves the others alone.
class Source {
 public:
  Source() = default;
  virtual ~Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  /// Called on the sampler's thread, one call at a time. Must not throw.
  virtual void read(Sample& sample) noexcept = 0;
};

/// Resident bytes of this process: /proc/self/statm, or GetProcessMemoryInfo on Windows. Nothing
/// on other systems.
[[nodiscard]] std::unique_ptr<Source> ram_source();

/// A plain function; for tests and for drivers that NVML does not know.
[[nodiscard]] std::unique_ptr<Source> function_source(std::function<void(Sample&)> read);

/// A source, or the reason why there is none.
struct FoundSource {
  std::unique_ptr<Source> source;
  std::string reason;
};

/// Used bytes of the device with this UUID ("GPU-..."), of this process on it and of all others,
/// from the driver's NVML library. No CUDA context is made. Where NVML does not tell the bytes of
/// a process (WDDM, WSL2) the two process channels stay empty.
[[nodiscard]] FoundSource nvml_source(const std::string& uuid);

}  // namespace truetile::memory
