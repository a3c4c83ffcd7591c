#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace truetile::memory {

/// A count of bytes, or nothing where it cannot be told. Unknown is never written as 0.
using Bytes = std::optional<std::int64_t>;

inline constexpr std::int64_t kMiB = std::int64_t{1} << 20;
inline constexpr std::int64_t kGiB = std::int64_t{1} << 30;
/// A count beyond it is a mistake.
inline constexpr std::int64_t kMostBytes = std::int64_t{1} << 60;
/// torch's native allocator takes memory from the driver in segments of at least this size.
inline constexpr std::int64_t kNativeTolerance = 2 * kMiB;
/// Step of cudaMallocAsync's pool, and page of ComfyUI's dynamic VRAM.
inline constexpr std::int64_t kPoolTolerance = 32 * kMiB;

/// Somebody in this process who holds memory: a model, a cache, a tensor.
struct Owner {
  std::string name;
  std::string kind;         ///< "model", "tensors", "cast buffers", ...
  std::int64_t bytes = 0;   ///< really resident on the device
  bool in_torch = true;     ///< counted by torch's allocator; false for dynamic VRAM's pages
  std::string detail = {};  ///< shape, dtype, where it hangs
};

/// Another process on the same device.
struct ProcessUse {
  std::int64_t pid = 0;
  std::string name;
  Bytes bytes;
};

/// What driver, torch and NVML say at one moment about one device.
struct Readings {
  Bytes driver_total;
  Bytes driver_used;  ///< total - free of cudaMemGetInfo, which is NVML's v2 `used`, not v1's
  Bytes torch_allocated;
  Bytes torch_reserved;
  Bytes own_process;                              ///< NVML's figure of our own pid
  std::optional<std::vector<ProcessUse>> others;  ///< nothing where it cannot be told (WDDM, WSL2)
};

/// One line of an account.
struct Part {
  std::string name;
  std::string kind;
  std::int64_t bytes = 0;
  std::string detail = {};
};

/// `1.50 GiB`, `12.0 MiB`, `unknown`; keeps the sign.
[[nodiscard]] std::string say_bytes(Bytes bytes);

}  // namespace truetile::memory
