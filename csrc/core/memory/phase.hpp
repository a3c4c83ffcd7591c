#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "core/memory/types.hpp"

namespace truetile::memory {

/// What is followed over time.
enum class Channel : std::uint8_t {
  driver_used,
  own_process,
  other_processes,
  torch_allocated,
  torch_reserved,
  ram,  ///< resident bytes of this process
};
inline constexpr std::size_t kChannels = 6;
[[nodiscard]] const char* channel_name(Channel channel);

/// Where a peak comes from, least exact first.
enum class Rank : std::uint8_t {
  none,        ///< nothing was read
  sample,      ///< the largest reading: a spike between two readings is missed
  high_water,  ///< the allocator's own mark: exact
  event,       ///< told at the moment it happened: exact
};
[[nodiscard]] const char* rank_name(Rank rank);

/// One reading of all channels; a channel that was not read is empty.
struct Sample {
  double seconds = 0.0;  ///< since the sampler was made
  std::array<Bytes, kChannels> values;
};

/// torch's counters and its two high-water marks since the process began or somebody reset them.
struct TorchMarks {
  std::int64_t allocated = 0;
  std::int64_t reserved = 0;
  std::int64_t allocated_peak = 0;
  std::int64_t reserved_peak = 0;
};

struct ChannelStats {
  Bytes peak;
  Bytes minimum;
  Bytes mean;  ///< over time: each value holds until the next one
  double peak_seconds = 0.0;
  Rank rank = Rank::none;
  std::int64_t readings = 0;
};

/// Peak, mean and minimum of one phase, kept up reading by reading.
class Phase {
 public:
  Phase(std::string name, double begin);

  void add(const Sample& sample);
  void event(Channel channel, double seconds, std::int64_t value);
  /// torch's marks now. A mark that rose since the last call was reached in between: an exact
  /// peak. One that fell was reset by somebody else, which is counted; nobody here resets it.
  void marks(double seconds, const TorchMarks& marks);
  void end(double seconds);

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] double begin_seconds() const noexcept { return begin_; }
  [[nodiscard]] double end_seconds() const noexcept { return end_; }
  [[nodiscard]] bool ended() const noexcept { return ended_; }
  [[nodiscard]] std::int64_t samples() const noexcept { return samples_; }
  /// The longest time without a sample that was really seen.
  [[nodiscard]] double widest_gap() const noexcept { return widest_gap_; }
  /// How often torch's high-water mark fell.
  [[nodiscard]] std::int64_t resets() const noexcept { return resets_; }
  [[nodiscard]] ChannelStats stats(Channel channel) const;

 private:
  struct Running {
    ChannelStats stats;
    double area = 0.0;  // bytes * seconds up to last_seconds
    double first_seconds = 0.0;
    double last_seconds = 0.0;
    double last_value = 0.0;
  };
  void value(Channel channel, double seconds, std::int64_t value, Rank rank);
  void mark(Channel channel, double seconds, std::int64_t peak, std::int64_t before);

  std::string name_;
  double begin_;
  double end_;
  double last_sample_;
  bool ended_ = false;
  bool has_marks_ = false;
  TorchMarks last_marks_;
  std::int64_t samples_ = 0;
  std::int64_t resets_ = 0;
  double widest_gap_ = 0.0;
  std::array<Running, kChannels> running_;
};

}  // namespace truetile::memory
