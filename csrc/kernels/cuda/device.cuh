#pragma once

#include "kernels/cuda/check.cuh"

namespace truetile::cuda {

/// Multiprocessors of the current device.
inline int processors() {
  int device = 0;
  int count = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  check(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device),
        "cudaDeviceGetAttribute");
  return count;
}

}  // namespace truetile::cuda
