#include "core/cost.hpp"

#include <algorithm>
#include <cmath>
#include <iomanip>

#include "core/error.hpp"
#include "core/grid.hpp"

namespace truetile {

void check_cost(const CostModel& cost) {
  require_range("fixed_bytes", cost.fixed_bytes, 0, kMaxBytes);
  const bool finite = std::isfinite(cost.bytes_per_pixel) && cost.bytes_per_pixel >= 0;
  const std::string value = std::isnan(cost.bytes_per_pixel) ? "nan" : text(cost.bytes_per_pixel);
  require(finite, "bytes_per_pixel", value, "finite and at least 0");
  require_range("live_frames", cost.live_frames, 0, kMaxSize);
  require_range("out_channels", cost.out_channels, 1, 1024);
  require_range("out_elem_bytes", cost.out_elem_bytes, 1, 8);
}

std::int64_t call_bytes(const CostModel& cost, const Triple& pixel, const Triple& out) {
  const std::int64_t frames =
      cost.live_frames > 0 ? std::min(pixel[0], cost.live_frames) : pixel[0];
  const double work = cost.bytes_per_pixel * static_cast<double>(frames * pixel[1] * pixel[2]);
  const auto rounded =
      static_cast<std::int64_t>(std::ceil(std::min(work, static_cast<double>(kMaxBytes))));
  const std::int64_t block =
      std::min(out[0] * out[1] * out[2] * cost.out_channels * cost.out_elem_bytes, kMaxBytes);
  return cost.fixed_bytes + rounded + block;
}

std::int64_t line_bytes(const CostModel& cost, std::int64_t elements) {
  constexpr std::int64_t kFp32Bytes = 4;
  return std::min(elements * cost.out_channels * kFp32Bytes, kMaxBytes);
}

std::string format_bytes(std::int64_t count) {
  const bool big = count >= (std::int64_t{1} << 30);
  const double value = std::ldexp(static_cast<double>(count), big ? -30 : -20);
  return text(std::fixed, std::setprecision(2), value, big ? " GiB" : " MiB");
}

}  // namespace truetile
