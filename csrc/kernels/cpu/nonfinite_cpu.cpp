#include <algorithm>

#include "kernels/nonfinite.hpp"

namespace truetile {
namespace {

// A magnitude above the bits of infinity is NaN: integers compare faster than isnan on halves.
template <class Bits, Bits kInfinity>
NonFinite count(const Bits* x, std::int64_t n) noexcept {
  constexpr Bits kMagnitude = static_cast<Bits>(~(Bits{1} << (8 * sizeof(Bits) - 1)));
  // Sums of the width of an element vectorise; they cannot overflow within a chunk.
  constexpr std::int64_t kChunk = 32768;
  NonFinite total;
  for (std::int64_t at = 0; at < n; at += kChunk) {
    const std::int64_t end = std::min(n, at + kChunk);
    Bits nan = 0;
    Bits inf = 0;
    for (std::int64_t i = at; i < end; ++i) {
      const Bits magnitude = static_cast<Bits>(x[i] & kMagnitude);
      nan = static_cast<Bits>(nan + static_cast<Bits>(magnitude > kInfinity));
      inf = static_cast<Bits>(inf + static_cast<Bits>(magnitude == kInfinity));
    }
    total.nan += nan;
    total.inf += inf;
  }
  return total;
}

NonFinite count(const Rows& x, std::int64_t at, std::int64_t n) noexcept {
  switch (x.dtype) {
    case DType::float16:
      return count<std::uint16_t, 0x7C00U>(static_cast<const std::uint16_t*>(x.data) + at, n);
    case DType::bfloat16:
      return count<std::uint16_t, 0x7F80U>(static_cast<const std::uint16_t*>(x.data) + at, n);
    case DType::float32:
      break;
  }
  return count<std::uint32_t, 0x7F800000U>(static_cast<const std::uint32_t*>(x.data) + at, n);
}

}  // namespace

bool make_rows(const std::int64_t* sizes, const std::int64_t* strides, int rank,
               Rows& rows) noexcept {
  rows.outer = 0;
  rows.run = 1;
  // Take dimensions by growing stride; each that continues the one before merges with it.
  constexpr int kMaxRank = 64;
  if (rank > kMaxRank) {
    return false;
  }
  std::array<int, kMaxRank> order{};
  int used = 0;
  for (int i = 0; i < rank; ++i) {
    if (sizes[i] == 0) {
      rows.run = 0;
      return true;
    }
    if (sizes[i] > 1) {
      order[used++] = i;
    }
  }
  std::sort(order.begin(), order.begin() + used,
            [&](int a, int b) { return strides[a] < strides[b]; });
  for (int i = 0; i < used; ++i) {
    const std::int64_t size = sizes[order[i]];
    const std::int64_t stride = strides[order[i]];
    if (stride == rows.run) {
      rows.run *= size;
      continue;
    }
    const int last = rows.outer - 1;
    if (last >= 0 && stride == rows.sizes[last] * rows.strides[last] && stride != 0) {
      rows.sizes[last] *= size;
      continue;
    }
    if (rows.outer == Rows::kMaxOuter) {
      return false;
    }
    rows.sizes[rows.outer] = size;
    rows.strides[rows.outer] = stride;
    ++rows.outer;
  }
  return true;
}

NonFinite count_nonfinite_cpu(const Rows& x, std::int64_t begin, std::int64_t end) noexcept {
  NonFinite total;
  while (begin < end) {
    const std::int64_t column = begin % x.run;
    const std::int64_t n = std::min(x.run - column, end - begin);
    const NonFinite found = count(x, x.start(begin / x.run) + column, n);
    total.nan += found.nan;
    total.inf += found.inf;
    begin += n;
  }
  return total;
}

}  // namespace truetile
