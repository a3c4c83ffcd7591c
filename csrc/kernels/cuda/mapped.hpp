#pragma once

namespace truetile {

/// The address by which the current CUDA device writes page-locked host memory.
/// @param host a pointer into such memory, e.g. data of a pinned torch tensor.
/// @return null when the memory is not page-locked or not mapped.
/// @throws std::runtime_error when CUDA cannot be asked.
[[nodiscard]] void* mapped_pointer(void* host);

}  // namespace truetile
