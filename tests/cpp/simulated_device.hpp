#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/memory/fragmentation.hpp"
#include "core/memory/types.hpp"
#include "random.hpp"

namespace truetile::memory::testing {

using truetile::testing::Random;

/// A GPU with torch's segments on it, and the plain truth about who allocated what.
class SimulatedDevice {
 public:
  explicit SimulatedDevice(std::uint64_t seed) : random_(seed) {}

  void step() {
    switch (random_.in(0, 6)) {
      case 0:
      case 1:
        return allocate();
      case 2:
        return release();
      case 3:
        return empty_cache();
      case 4:
        pages_["model " + std::to_string(random_.in(0, 2))] = 32 * kMiB * random_.in(0, 20);
        return;
      case 5:
        others_[random_.in(1, 4)] = kMiB * random_.in(0, 5000);
        return;
      default:
        context_ += kMiB * random_.in(0, 8);
    }
  }

  [[nodiscard]] Readings readings() const {
    Readings readings;
    readings.torch_allocated = allocated();
    readings.torch_reserved = reserved();
    readings.own_process = reserved() + all(pages_) + context_;
    readings.others.emplace();
    for (const auto& [pid, bytes] : others_) {
      readings.others->push_back({pid, "other", bytes});
    }
    readings.driver_total = 200000 * kMiB;
    readings.driver_used = *readings.own_process + all(others_) + kOverhead;
    return readings;
  }

  [[nodiscard]] std::vector<Owner> owners() const {
    std::map<std::string, std::int64_t> by_name;
    for (const Slab& slab : slabs_) {
      for (const Tensor& tensor : slab.tensors) by_name[tensor.owner] += tensor.bytes;
    }
    std::vector<Owner> owners;
    for (const auto& [name, bytes] : by_name) owners.push_back({name, "tensors", bytes});
    for (const auto& [name, bytes] : pages_) owners.push_back({name, "model", bytes, false});
    return owners;
  }

  [[nodiscard]] std::vector<Segment> segments() const {
    std::vector<Segment> segments;
    for (const Slab& slab : slabs_) {
      Segment segment{slab.address, slab.stream, "large", false, {}};
      std::int64_t used = 0;
      for (const Tensor& tensor : slab.tensors) {
        segment.blocks.push_back({tensor.bytes, tensor.bytes - tensor.bytes / 7, BlockState::live});
        used += tensor.bytes;
      }
      if (used < slab.size) segment.blocks.push_back({slab.size - used, 0, BlockState::free});
      segments.push_back(segment);
    }
    return segments;
  }

  [[nodiscard]] std::vector<std::uint64_t> addresses() const {
    std::vector<std::uint64_t> found;
    for (const Slab& slab : slabs_) {
      std::uint64_t at = slab.address;
      for (const Tensor& tensor : slab.tensors) {
        if (tensor.bytes > 0) found.push_back(at);
        at += static_cast<std::uint64_t>(tensor.bytes);
      }
    }
    return found;
  }
  [[nodiscard]] std::int64_t tensors_at(std::uint64_t address) const {
    for (const Slab& slab : slabs_) {
      if (slab.address == address) return static_cast<std::int64_t>(slab.tensors.size());
    }
    return 0;
  }

  [[nodiscard]] std::int64_t allocated() const {
    std::int64_t sum = 0;
    for (const Slab& slab : slabs_) sum += slab.used();
    return sum;
  }
  [[nodiscard]] std::int64_t reserved() const {
    std::int64_t sum = 0;
    for (const Slab& slab : slabs_) sum += slab.size;
    return sum;
  }
  [[nodiscard]] std::int64_t context() const { return context_; }
  void empty_cache() {
    std::erase_if(slabs_, [](const Slab& slab) { return slab.tensors.empty(); });
  }

  static constexpr std::int64_t kOverhead = 9 * kMiB;

 private:
  struct Tensor {
    std::string owner;
    std::int64_t bytes;
  };
  struct Slab {
    std::uint64_t address;
    std::int64_t stream, size;
    std::vector<Tensor> tensors;
    [[nodiscard]] std::int64_t used() const {
      std::int64_t sum = 0;
      for (const Tensor& tensor : tensors) sum += tensor.bytes;
      return sum;
    }
  };

  template <typename Map>
  static std::int64_t all(const Map& map) {
    std::int64_t sum = 0;
    for (const auto& [key, bytes] : map) sum += bytes;
    return sum;
  }

  void allocate() {
    const Tensor tensor{"tensor " + std::to_string(random_.in(0, 5)), random_.in(1, 40) * 512};
    const std::int64_t stream = random_.in(0, 1);
    for (Slab& slab : slabs_) {
      if (slab.stream == stream && slab.size - slab.used() >= tensor.bytes) {
        return slab.tensors.push_back(tensor);
      }
    }
    const auto address = static_cast<std::uint64_t>(1 + taken_++) * kGiB;
    slabs_.push_back({address, stream, random_.in(1, 4) * 20480, {tensor}});
  }

  void release() {
    if (slabs_.empty()) return;
    auto& tensors = slabs_[random_.in(0, std::ssize(slabs_) - 1)].tensors;
    if (!tensors.empty()) tensors.erase(tensors.begin() + random_.in(0, std::ssize(tensors) - 1));
  }

  Random random_;
  std::vector<Slab> slabs_;
  std::map<std::string, std::int64_t> pages_;
  std::map<std::int64_t, std::int64_t> others_;
  std::int64_t context_ = 600 * kMiB;
  std::int64_t taken_ = 0;
};

}  // namespace truetile::memory::testing
