// The few functions of NVML that the sampler needs, declared here: the driver brings the library,
// the headers come with CUDA only.
#include <array>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "core/error.hpp"
#include "core/memory/dynlib.hpp"
#include "core/memory/sources.hpp"

#if defined(_WIN32)
#include <process.h>
#define TRUETILE_GETPID _getpid
#else
#include <unistd.h>
#define TRUETILE_GETPID getpid
#endif

namespace truetile::memory {
namespace {

using Device = void*;

/// nvmlMemory_v2_t. The first version counts the driver's reserve (615 MiB on an H200) as used,
/// which cudaMemGetInfo does not; this one keeps it apart.
struct MemoryV2 {
  unsigned version = 0;
  unsigned long long total = 0, reserved = 0, free = 0, used = 0;
};
constexpr unsigned kMemoryV2 = sizeof(MemoryV2) | (2U << 24U);

/// nvmlProcessInfo_t of the _v3 functions.
struct ProcessInfo {
  unsigned pid = 0;
  unsigned long long used = 0;
  unsigned gpu_instance = 0, compute_instance = 0;
};
constexpr unsigned long long kNotAvailable = std::numeric_limits<unsigned long long>::max();

using InitFn = int (*)();
using ByUuidFn = int (*)(const char*, Device*);
using MemoryFn = int (*)(Device, MemoryV2*);
using ProcessesFn = int (*)(Device, unsigned*, ProcessInfo*);

void put(Sample& sample, Channel channel, unsigned long long bytes) {
  sample.values[static_cast<std::size_t>(channel)] = static_cast<std::int64_t>(bytes);
}

class NvmlSource : public Source {
 public:
  /// An empty string, or why it cannot be used.
  std::string open(const std::string& uuid) {
    if (!library_.ok()) return "the driver's NVML library was not found";
    const auto init = library_.find<InitFn>("nvmlInit_v2");
    const auto by_uuid = library_.find<ByUuidFn>("nvmlDeviceGetHandleByUUID");
    shutdown_ = library_.find<InitFn>("nvmlShutdown");
    memory_ = library_.find<MemoryFn>("nvmlDeviceGetMemoryInfo_v2");
    compute_ = library_.find<ProcessesFn>("nvmlDeviceGetComputeRunningProcesses_v3");
    if (init == nullptr || by_uuid == nullptr || memory_ == nullptr) {
      return "this driver's NVML is too old: it has no nvmlDeviceGetMemoryInfo_v2";
    }
    if (const int code = init(); code != 0) return text("nvmlInit_v2 gives error ", code);
    started_ = true;
    if (const int code = by_uuid(uuid.c_str(), &device_); code != 0) {
      return text("NVML knows no device with UUID ", uuid, " (error ", code, ")");
    }
    MemoryV2 memory;
    memory.version = kMemoryV2;
    const int code = memory_(device_, &memory);
    return code == 0 ? std::string() : text("nvmlDeviceGetMemoryInfo_v2 gives error ", code);
  }

  NvmlSource() = default;
  ~NvmlSource() override {
    if (started_ && shutdown_ != nullptr) shutdown_();
  }
  NvmlSource(const NvmlSource&) = delete;
  NvmlSource& operator=(const NvmlSource&) = delete;

  void read(Sample& sample) noexcept override {
    MemoryV2 memory;
    memory.version = kMemoryV2;
    if (memory_(device_, &memory) == 0) put(sample, Channel::driver_used, memory.used);
    // The table of processes costs most of a reading: at every sample it alone would take the
    // sampler above half a percent of a core. A sample without it leaves its channels empty.
    if (reads_++ % kProcessesEvery != 0) return;
    unsigned long long own = 0;
    unsigned long long others = 0;
    if (!add(own, others)) return;
    put(sample, Channel::own_process, own);
    put(sample, Channel::other_processes, others);
  }

 private:
  /// False where the bytes of one process are not told.
  bool add(unsigned long long& own, unsigned long long& others) noexcept {
    if (compute_ == nullptr) return false;
    auto count = static_cast<unsigned>(found_.size());
    const int code = compute_(device_, &count, found_.data());
    // More processes than the table holds: not told, rather than told wrongly.
    if (code != 0 || count > found_.size()) return false;
    for (unsigned i = 0; i < count; ++i) {
      if (found_[i].used == kNotAvailable) return false;
      (found_[i].pid == pid_ ? own : others) += found_[i].used;
    }
    return true;
  }

  static constexpr unsigned kProcessesEvery = 5;
  unsigned reads_ = 0;
  DynamicLibrary library_{"libnvidia-ml.so.1", "nvml.dll"};
  Device device_ = nullptr;
  MemoryFn memory_ = nullptr;
  ProcessesFn compute_ = nullptr;
  InitFn shutdown_ = nullptr;
  bool started_ = false;
  unsigned pid_ = static_cast<unsigned>(TRUETILE_GETPID());
  std::array<ProcessInfo, 256> found_ = {};
};

}  // namespace

FoundSource nvml_source(const std::string& uuid) {
  auto source = std::make_unique<NvmlSource>();
  std::string reason = source->open(uuid);
  if (!reason.empty()) return {nullptr, std::move(reason)};
  return {std::move(source), ""};
}

}  // namespace truetile::memory
