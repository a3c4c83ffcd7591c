#pragma once

#include "kernels/blend.hpp"
#include "kernels/cuda/blend_zones.hpp"

// The two kernels behind blend_tile_cuda. Both throw std::runtime_error when a launch is refused.

namespace truetile::cuda {

/// A task without weights and lines: most pixels of a tile.
void launch_flat(const BlendTask& task, CUstream_st* stream);

/// Boxes of any kind, in no order among each other.
void launch_zones(const ZoneBatch& batch, DType block_dtype, DType dst_dtype, CUstream_st* stream);

}  // namespace truetile::cuda
