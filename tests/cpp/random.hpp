#pragma once

#include <cstdint>
#include <random>

namespace truetile::testing {

/// Numbers that are the same on every platform for one seed.
class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}

  /// Uniform in [low, high].
  std::int64_t in(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(engine_() % static_cast<std::uint64_t>(high - low + 1));
  }
  bool one_in(std::int64_t count) { return in(1, count) == 1; }

 private:
  std::mt19937_64 engine_;
};

}  // namespace truetile::testing
