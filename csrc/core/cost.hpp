#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace truetile {

inline constexpr std::int64_t kMaxBytes = std::int64_t{1} << 60;  ///< each term saturates here

/// Three sizes in the order (t, y, x).
using Triple = std::array<std::int64_t, 3>;

/// Bytes of one VAE call: `fixed_bytes + bytes_per_pixel * h * w * frames`, plus its result.
struct CostModel {
  std::int64_t fixed_bytes = 0;
  double bytes_per_pixel = 0.0;     ///< of one pixel of one frame
  std::int64_t live_frames = 0;     ///< frames alive at once inside a call; 0 = all of them
  std::int64_t out_channels = 3;    ///< of the block that a call returns
  std::int64_t out_elem_bytes = 4;  ///< likewise

  bool operator==(const CostModel&) const = default;
};

/// Throws InvalidArgument for the first field outside its range.
void check_cost(const CostModel& cost);

/// Bytes of a call on `pixel` (frames, h, w) that returns `out` (t, y, x) elements.
[[nodiscard]] std::int64_t call_bytes(const CostModel& cost, const Triple& pixel,
                                      const Triple& out);

/// Bytes of the fp32 line buffers that hold `elements` of each channel.
[[nodiscard]] std::int64_t line_bytes(const CostModel& cost, std::int64_t elements);

/// `12.34 GiB`, or MiB below one GiB.
[[nodiscard]] std::string format_bytes(std::int64_t count);

}  // namespace truetile
