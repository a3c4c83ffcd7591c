#include "kernels/cuda/usable.hpp"

#include "ops/export.hpp"

/// Why the kernels cannot run on torch's current device, or nullptr: Python asks before it uses
/// them.
TRUETILE_EXPORT const char* truetile_ops_unusable() { return truetile::cuda::unusable(); }
