#pragma once

#include <cstdint>
#include <vector>

namespace truetile {

inline constexpr std::int64_t kWorkspaceAlign = 256;  ///< of every buffer, bytes

/// `bytes` needed from moment `begin` to moment `end`, both included.
struct Buffer {
  std::int64_t bytes = 0;
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

/// An offset for each buffer, and the size of the workspace.
struct Placement {
  std::vector<std::int64_t> offsets;
  std::int64_t bytes = 0;
};

[[nodiscard]] constexpr std::int64_t round_up(std::int64_t count, std::int64_t align) {
  return (count + align - 1) / align * align;
}

/// Offsets of short-lived buffers in one workspace: the largest buffer first, each at the lowest
/// offset where no buffer lies that lives at the same time.
[[nodiscard]] Placement place(const std::vector<Buffer>& buffers);

}  // namespace truetile
