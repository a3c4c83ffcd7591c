#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <vector>

// ldmatrix and mma of a warp, as NVIDIA's PTX manual has them, on integers instead of 16-bit
// floats.

namespace truetile::testing {

/// Two elements of a lane's register, or four matrices of them.
using Pair = std::array<int, 2>;
using Matrices = std::array<std::array<Pair, 4>, 32>;

/// ldmatrix.x4: lane l gives the address of row l % 8 of matrix l / 8; of each matrix it gets
/// elements l % 4 * 2 and the next one of row l / 4. Addresses are bytes of 16-bit elements.
template <class Address>
[[nodiscard]] Matrices load_matrices(const std::vector<int>& elements, Address address) {
  Matrices loaded{};
  for (std::size_t lane = 0; lane < 32; ++lane) {
    for (std::size_t matrix = 0; matrix < 4; ++matrix) {
      const int from = address(static_cast<int>(matrix * 8 + lane / 4));
      EXPECT_EQ(from % 16, 0);
      for (std::size_t i = 0; i < 2; ++i) {
        loaded.at(lane).at(matrix).at(i) =
            elements.at(static_cast<std::size_t>(from) / 2 + lane % 4 * 2 + i);
      }
    }
  }
  return loaded;
}

/// Four sums of each lane.
using Sums = std::array<std::array<double, 4>, 32>;

/// mma.m16n8k16: register r of a lane's a holds row l / 4 + 8 * (r % 2) and columns l % 4 * 2 +
/// 8 * (r / 2) and the next one; register r of its b holds rows l % 4 * 2 + 8 * r and the next one
/// of column l / 4; its sums are of row l / 4 + 8 * (r / 2), column l % 4 * 2 + r % 2.
inline void multiply_add(Sums& sums, const Matrices& a, const Matrices& b, std::size_t first) {
  std::array<std::array<double, 16>, 16> left{};
  std::array<std::array<double, 8>, 16> right{};
  for (std::size_t lane = 0; lane < 32; ++lane) {
    for (std::size_t r = 0; r < 4; ++r) {
      for (std::size_t i = 0; i < 2; ++i) {
        left.at(lane / 4 + 8 * (r % 2)).at(lane % 4 * 2 + 8 * (r / 2) + i) = a.at(lane).at(r).at(i);
        if (r >= 2) continue;
        right.at(lane % 4 * 2 + 8 * r + i).at(lane / 4) = b.at(lane).at(first + r).at(i);
      }
    }
  }
  for (std::size_t lane = 0; lane < 32; ++lane) {
    for (std::size_t r = 0; r < 4; ++r) {
      for (std::size_t k = 0; k < 16; ++k) {
        sums.at(lane).at(r) +=
            left.at(lane / 4 + 8 * (r / 2)).at(k) * right.at(k).at(lane % 4 * 2 + r % 2);
      }
    }
  }
}

}  // namespace truetile::testing
