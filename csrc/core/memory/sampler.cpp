#include "core/memory/sampler.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "core/error.hpp"

#if defined(_WIN32)
#include <windows.h>
#else
#include <ctime>
#endif

namespace truetile::memory {
namespace {

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double unix_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

double thread_cpu_seconds() {
#if defined(_WIN32)
  FILETIME made, ended, kernel, user;
  if (GetThreadTimes(GetCurrentThread(), &made, &ended, &kernel, &user) == 0) return 0.0;
  const auto ticks = [](const FILETIME& t) {
    return (static_cast<double>(t.dwHighDateTime) * 4294967296.0 + t.dwLowDateTime) * 1e-7;
  };
  return ticks(kernel) + ticks(user);
#else
  timespec time = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
#endif
}

double checked_interval(double interval) {
  require(interval >= 0.001 && interval <= 60.0, "interval", text(interval),
          "in [0.001, 60] seconds");
  return interval;
}

}  // namespace

Sampler::Sampler(double interval, std::int64_t capacity,
                 std::vector<std::unique_ptr<Source>> sources)
    : interval_(checked_interval(interval)),
      begin_(steady_seconds()),
      epoch_(unix_seconds()),
      sources_(std::move(sources)) {
  require_range("capacity", capacity, 1, std::int64_t{1} << 24);
  ring_.resize(static_cast<std::size_t>(capacity));
}

Sampler::~Sampler() { stop(); }

void Sampler::start() {
  const std::lock_guard control(control_);
  if (thread_.joinable()) return;
  {
    const std::lock_guard lock(state_);
    stopping_ = false;
  }
  thread_ = std::thread([this] { loop(); });
}

void Sampler::stop() {
  const std::lock_guard control(control_);
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(state_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
  thread_ = std::thread();
}

bool Sampler::running() const {
  const std::lock_guard control(control_);
  return thread_.joinable();
}

void Sampler::loop() {
  auto due = std::chrono::steady_clock::now();
  const auto step = std::chrono::duration_cast<std::chrono::steady_clock::duration>(
      std::chrono::duration<double>(interval_));
  const double cpu_before = cpu_seconds();
  while (true) {
    take();
    std::unique_lock lock(state_);
    // A late thread goes on from now: catching up would read twice at once and tell nothing.
    due = std::max(due + pace_.intervals() * step, std::chrono::steady_clock::now());
    cpu_seconds_ = cpu_before + thread_cpu_seconds();
    if (wake_.wait_until(lock, due, [this] { return stopping_; })) return;
  }
}

void Sampler::take() {
  const std::lock_guard reading(reading_);
  Sample sample;
  for (const auto& source : sources_) source->read(sample);
  const std::lock_guard lock(state_);
  // Stamped under both locks, so that samples lie in the ring in the order of time.
  sample.seconds = now();
  if (marks_) {
    sample.values[static_cast<std::size_t>(Channel::torch_allocated)] = marks_->allocated;
    sample.values[static_cast<std::size_t>(Channel::torch_reserved)] = marks_->reserved;
  }
  ring_[static_cast<std::size_t>(taken_) % ring_.size()] = sample;
  ++taken_;
  pace_.add(sample);
  for (Open& open : open_) open.phase.add(sample);
}

void Sampler::feed(const TorchMarks& marks) {
  const std::lock_guard lock(state_);
  marks_ = marks;
  for (Open& open : open_) open.phase.marks(now(), marks);
}

void Sampler::event(Channel channel, std::int64_t bytes) {
  const std::lock_guard lock(state_);
  for (Open& open : open_) open.phase.event(channel, now(), bytes);
}

std::int64_t Sampler::begin_phase(const std::string& name) {
  std::int64_t id = 0;
  {
    const std::lock_guard lock(state_);
    id = next_id_++;
    Phase phase(name, now());
    if (marks_) phase.marks(now(), *marks_);
    open_.push_back({id, std::move(phase)});
    pace_.hurry();
  }
  take();
  return id;
}

PhaseStats Sampler::end_phase(std::int64_t id) {
  {
    const std::lock_guard lock(state_);
    static_cast<void>(open_phase(id));
  }
  take();
  const std::lock_guard lock(state_);
  const auto found = static_cast<std::size_t>(&open_phase(id) - open_.data());
  open_[found].phase.end(now());
  PhaseStats stats = stats_of(open_[found]);
  open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(found));
  return stats;
}

PhaseStats Sampler::peek_phase(std::int64_t id) const {
  const std::lock_guard lock(state_);
  return stats_of(open_phase(id));
}

const Sampler::Open& Sampler::open_phase(std::int64_t id) const {
  const auto found =
      std::find_if(open_.begin(), open_.end(), [id](const Open& open) { return open.id == id; });
  require(found != open_.end(), "id", text(id), "the id of a phase that is open");
  return *found;
}

PhaseStats Sampler::stats_of(const Open& open) {
  const Phase& phase = open.phase;
  PhaseStats stats{open.id,
                   phase.name(),
                   phase.begin_seconds(),
                   phase.end_seconds(),
                   phase.ended(),
                   phase.samples(),
                   phase.widest_gap(),
                   phase.resets(),
                   {}};
  for (std::size_t i = 0; i < kChannels; ++i) {
    stats.channels.push_back(phase.stats(static_cast<Channel>(i)));
  }
  return stats;
}

std::vector<Sample> Sampler::samples(double after) const {
  const std::lock_guard lock(state_);
  const auto size = static_cast<std::int64_t>(ring_.size());
  std::vector<Sample> kept;
  for (std::int64_t i = std::max<std::int64_t>(0, taken_ - size); i < taken_; ++i) {
    const Sample& sample = ring_[static_cast<std::size_t>(i % size)];
    if (sample.seconds > after) kept.push_back(sample);
  }
  return kept;
}

std::int64_t Sampler::taken() const {
  const std::lock_guard lock(state_);
  return taken_;
}

double Sampler::cpu_seconds() const {
  const std::lock_guard lock(state_);
  return cpu_seconds_;
}

double Sampler::now() const { return steady_seconds() - begin_; }

}  // namespace truetile::memory
