#pragma once

#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

namespace truetile::cuda {

/// Throw when a CUDA call failed: "what: error name: explanation". The sticky state is cleared, so
/// that the next call does not report an old error as its own.
inline void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) {
    return;
  }
  static_cast<void>(cudaGetLastError());
  throw std::runtime_error(std::string(what) + ": " + cudaGetErrorName(status) + ": " +
                           cudaGetErrorString(status));
}

/// Throw when the launch just made was refused. Errors inside of a kernel come later, by torch's
/// next synchronisation: nothing here waits.
inline void check_launch(const char* kernel) { check(cudaGetLastError(), kernel); }

}  // namespace truetile::cuda
