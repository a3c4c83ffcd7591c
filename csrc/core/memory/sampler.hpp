#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/memory/pace.hpp"
#include "core/memory/phase.hpp"
#include "core/memory/sources.hpp"

namespace truetile::memory {

/// What one phase showed; a copy, so that it stays as it is.
struct PhaseStats {
  std::int64_t id = 0;
  std::string name;
  double begin = 0.0;  ///< seconds since the sampler was made
  double end = 0.0;
  bool ended = false;
  std::int64_t samples = 0;
  double widest_gap = 0.0;
  std::int64_t resets = 0;
  std::vector<ChannelStats> channels;  ///< by Channel
};

/// Reads its sources every `interval` seconds on a thread of its own that never enters Python, and
/// every second interval while nothing moves (see Pace).
///
/// The last `capacity` samples are kept in a ring; the statistics of open phases are kept up
/// sample by sample, so a ring that went round loses nothing of them. All functions may be called
/// from any thread.
class Sampler {
 public:
  /// interval: seconds, 0.001 to 60; capacity: samples, 1 to 2^24. Throws InvalidArgument.
  Sampler(double interval, std::int64_t capacity, std::vector<std::unique_ptr<Source>> sources);
  ~Sampler();
  Sampler(const Sampler&) = delete;
  Sampler& operator=(const Sampler&) = delete;

  void start();
  /// Waits for the thread to end; open phases stay open. Safe to call twice.
  void stop();
  [[nodiscard]] bool running() const;

  /// torch's counters, fed by Python; each later sample repeats the two current ones.
  void feed(const TorchMarks& marks);
  /// A value told at the moment it happened.
  void event(Channel channel, std::int64_t bytes);

  /// Opens a phase and takes a sample at once; phases may overlap. Gives its id.
  std::int64_t begin_phase(const std::string& name);
  /// Takes a sample and closes the phase. Throws InvalidArgument for an id that is not open.
  PhaseStats end_phase(std::int64_t id);
  /// A phase that is still open, so far. Throws InvalidArgument likewise.
  [[nodiscard]] PhaseStats peek_phase(std::int64_t id) const;

  /// Samples in the ring that are newer than `after` seconds, oldest first.
  [[nodiscard]] std::vector<Sample> samples(double after = -1.0) const;
  [[nodiscard]] std::int64_t taken() const;  ///< samples taken so far, also those overwritten
  /// Time on the processor that the sampler's thread has used, in seconds.
  [[nodiscard]] double cpu_seconds() const;
  [[nodiscard]] double now() const;  ///< seconds since the sampler was made
  [[nodiscard]] double started_at() const noexcept { return epoch_; }  ///< Unix time of second 0

 private:
  struct Open {
    std::int64_t id;
    Phase phase;
  };
  void loop();
  void take();
  [[nodiscard]] const Open& open_phase(std::int64_t id) const;
  [[nodiscard]] static PhaseStats stats_of(const Open& open);

  const double interval_;
  const double begin_;
  const double epoch_;
  // Two locks: reading the driver takes long, and must not keep feed() or event() waiting.
  std::mutex reading_;
  std::vector<std::unique_ptr<Source>> sources_;  // under reading_
  mutable std::mutex state_;
  std::condition_variable wake_;
  std::vector<Sample> ring_;  // from here on under state_
  std::int64_t taken_ = 0;
  Pace pace_;
  std::optional<TorchMarks> marks_;
  std::vector<Open> open_;
  std::int64_t next_id_ = 1;
  bool stopping_ = false;
  double cpu_seconds_ = 0.0;
  mutable std::mutex control_;
  std::thread thread_;  // under control_
};

}  // namespace truetile::memory
