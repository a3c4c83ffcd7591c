#pragma once

namespace truetile::cuda {

/// Why no kernel of this library can run on the current device, or nullptr when they can: a driver
/// older than the CUDA runtime that is linked in, or a GPU that nothing was compiled for. The
/// string lives as long as the library. The current device gets a context, as by a first kernel.
[[nodiscard]] const char* unusable() noexcept;

}  // namespace truetile::cuda
