#include "core/memory/phase.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace truetile::memory {

const char* channel_name(Channel channel) {
  constexpr std::array<const char*, kChannels> kNames = {
      "driver_used", "own_process", "other_processes", "torch_allocated", "torch_reserved", "ram"};
  return kNames[static_cast<std::size_t>(channel)];
}

const char* rank_name(Rank rank) {
  constexpr std::array<const char*, 4> kNames = {"none", "sample", "high-water mark", "event"};
  return kNames[static_cast<std::size_t>(rank)];
}

Phase::Phase(std::string name, double begin)
    : name_(std::move(name)), begin_(begin), end_(begin), last_sample_(begin) {}

void Phase::add(const Sample& sample) {
  ++samples_;
  widest_gap_ = std::max(widest_gap_, sample.seconds - last_sample_);
  last_sample_ = end_ = sample.seconds;
  for (std::size_t i = 0; i < kChannels; ++i) {
    const Bytes& bytes = sample.values[i];
    if (bytes) value(static_cast<Channel>(i), sample.seconds, *bytes, Rank::sample);
  }
}

void Phase::event(Channel channel, double seconds, std::int64_t bytes) {
  value(channel, seconds, bytes, Rank::event);
}

void Phase::marks(double seconds, const TorchMarks& marks) {
  value(Channel::torch_allocated, seconds, marks.allocated, Rank::event);
  value(Channel::torch_reserved, seconds, marks.reserved, Rank::event);
  if (has_marks_) {
    if (marks.allocated_peak < last_marks_.allocated_peak ||
        marks.reserved_peak < last_marks_.reserved_peak) {
      ++resets_;
    }
    mark(Channel::torch_allocated, seconds, marks.allocated_peak, last_marks_.allocated_peak);
    mark(Channel::torch_reserved, seconds, marks.reserved_peak, last_marks_.reserved_peak);
  }
  last_marks_ = marks;
  has_marks_ = true;
}

/// A mark that stands where it stood says nothing about this phase: an earlier peak was higher.
void Phase::mark(Channel channel, double seconds, std::int64_t peak, std::int64_t before) {
  Running& running = running_[static_cast<std::size_t>(channel)];
  if (peak == before || (running.stats.peak && *running.stats.peak > peak)) return;
  const bool higher = !running.stats.peak || *running.stats.peak < peak;
  running.stats.peak = peak;
  if (higher) running.stats.peak_seconds = seconds;
  if (higher || running.stats.rank < Rank::high_water) running.stats.rank = Rank::high_water;
}

void Phase::value(Channel channel, double seconds, std::int64_t bytes, Rank rank) {
  Running& running = running_[static_cast<std::size_t>(channel)];
  ChannelStats& stats = running.stats;
  if (stats.readings == 0) {
    running.first_seconds = seconds;
  } else {
    running.area += running.last_value * std::max(0.0, seconds - running.last_seconds);
  }
  running.last_seconds = seconds;
  running.last_value = static_cast<double>(bytes);
  ++stats.readings;
  if (!stats.peak || bytes > *stats.peak) {
    stats.peak = bytes;
    stats.peak_seconds = seconds;
    stats.rank = rank;
  }
  stats.minimum = stats.minimum ? std::min(*stats.minimum, bytes) : bytes;
}

void Phase::end(double seconds) {
  widest_gap_ = std::max(widest_gap_, seconds - last_sample_);
  end_ = seconds;
  ended_ = true;
}

ChannelStats Phase::stats(Channel channel) const {
  const Running& running = running_[static_cast<std::size_t>(channel)];
  ChannelStats stats = running.stats;
  if (stats.readings > 0) {
    // The last value holds to the end of the phase.
    const double tail = std::max(0.0, end_ - running.last_seconds);
    const double length = running.last_seconds + tail - running.first_seconds;
    const double mean =
        length > 0 ? (running.area + running.last_value * tail) / length : running.last_value;
    stats.mean = static_cast<std::int64_t>(std::floor(mean + 0.5));
  }
  return stats;
}

}  // namespace truetile::memory
