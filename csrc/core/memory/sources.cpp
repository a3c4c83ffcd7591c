#include "core/memory/sources.hpp"

#include <utility>

#if defined(_WIN32)
#include <windows.h>
// psapi.h needs windows.h before it.
#include <psapi.h>
#elif defined(__linux__)
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#endif

namespace truetile::memory {
namespace {

constexpr auto kRam = static_cast<std::size_t>(Channel::ram);

#if defined(_WIN32)

class RamSource : public Source {
 public:
  void read(Sample& sample) noexcept override {
    PROCESS_MEMORY_COUNTERS counters = {};
    if (K32GetProcessMemoryInfo(GetCurrentProcess(), &counters, sizeof(counters)) != 0) {
      sample.values[kRam] = static_cast<std::int64_t>(counters.WorkingSetSize);
    }
  }
};

#elif defined(__linux__)

class RamSource : public Source {
 public:
  RamSource() : file_(open("/proc/self/statm", O_RDONLY | O_CLOEXEC)) {}
  ~RamSource() override {
    if (file_ >= 0) close(file_);
  }
  void read(Sample& sample) noexcept override {
    // Kept open: reading from the start again gives fresh numbers.
    std::array<char, 128> line = {};
    if (file_ < 0 || pread(file_, line.data(), line.size() - 1, 0) <= 0) return;
    char* rest = nullptr;
    std::strtoll(line.data(), &rest, 10);  // all pages; the second number is the resident ones
    sample.values[kRam] = std::strtoll(rest, nullptr, 10) * page_;
  }

 private:
  int file_;
  std::int64_t page_ = sysconf(_SC_PAGESIZE);
};

#else

class RamSource : public Source {
 public:
  void read(Sample&) noexcept override {}
};

#endif

class FunctionSource : public Source {
 public:
  explicit FunctionSource(std::function<void(Sample&)> read) : read_(std::move(read)) {}
  void read(Sample& sample) noexcept override { read_(sample); }

 private:
  std::function<void(Sample&)> read_;
};

}  // namespace

std::unique_ptr<Source> ram_source() { return std::make_unique<RamSource>(); }

std::unique_ptr<Source> function_source(std::function<void(Sample&)> read) {
  return std::make_unique<FunctionSource>(std::move(read));
}

}  // namespace truetile::memory
