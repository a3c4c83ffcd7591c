#include <functional>
#include <map>
#include <memory>

#include "bindings/bind_memory.hpp"
#include "bindings/record.hpp"
#include "core/error.hpp"
#include "core/memory/sampler.hpp"

namespace truetile::bindings {
namespace {

using namespace truetile::memory;
using py::arg;
using std::string;
/// The sampler's own lock may be held by its thread: nobody waits for it with the GIL in hand.
using Release = py::call_guard<py::gil_scoped_release>;

Channel channel_named(const string& name) {
  for (std::size_t i = 0; i < kChannels; ++i) {
    if (name == channel_name(static_cast<Channel>(i))) return static_cast<Channel>(i);
  }
  throw InvalidArgument(text("channel=", name,
                             ": must be one of driver_used, own_process, other_processes, "
                             "torch_allocated, torch_reserved, ram"));
}

/// A source for tests; it takes the GIL, as no source of the product does.
std::unique_ptr<Source> python_source(py::object read) {
  const std::shared_ptr<py::object> function(new py::object(std::move(read)),
                                             [](py::object* object) {
                                               const py::gil_scoped_acquire gil;
                                               delete object;
                                             });
  return function_source([function](Sample& sample) {
    const py::gil_scoped_acquire gil;
    try {
      for (const auto& [name, bytes] : (*function)().cast<std::map<string, std::int64_t>>()) {
        sample.values[static_cast<std::size_t>(channel_named(name))] = bytes;
      }
    } catch (const std::exception&) {
      PyErr_Clear();  // a source must not throw; the channels stay empty
    }
  });
}

std::unique_ptr<Sampler> make_sampler(double interval, std::int64_t capacity, const string& uuid,
                                      const py::object& read) {
  std::vector<std::unique_ptr<Source>> sources;
  sources.push_back(ram_source());
  if (!uuid.empty()) {
    if (FoundSource found = nvml_source(uuid); found.source) {
      sources.push_back(std::move(found.source));
    }
  }
  if (!read.is_none()) sources.push_back(python_source(read));
  return std::make_unique<Sampler>(interval, capacity, std::move(sources));
}

string why_no_nvml(const string& uuid) {
  return uuid.empty() ? "no NVIDIA device was named" : nvml_source(uuid).reason;
}

void bind_values(py::module_& m) {
  Record<Sample>(m, "Sample", "`values` by CHANNELS; seconds since the sampler was made.")
      .field("seconds", &Sample::seconds)
      .field("values", &Sample::values)
      .done();
  Record<TorchMarks>(m, "TorchMarks", "torch's counters and its high-water marks.")
      .field("allocated", &TorchMarks::allocated)
      .field("reserved", &TorchMarks::reserved)
      .field("allocated_peak", &TorchMarks::allocated_peak)
      .field("reserved_peak", &TorchMarks::reserved_peak)
      .done()
      .def(py::init<std::int64_t, std::int64_t, std::int64_t, std::int64_t>(), arg("allocated"),
           arg("reserved"), arg("allocated_peak"), arg("reserved_peak"));
  Record<ChannelStats>(m, "ChannelStats", "`rank` says where the peak comes from.")
      .field("peak", &ChannelStats::peak)
      .field("minimum", &ChannelStats::minimum)
      .field("mean", &ChannelStats::mean)
      .field("peak_seconds", &ChannelStats::peak_seconds)
      .property("rank", [](const ChannelStats& stats) { return rank_name(stats.rank); })
      .field("readings", &ChannelStats::readings)
      .done();
  Record<PhaseStats>(m, "PhaseStats", "What one phase showed; `channels` by CHANNELS.")
      .field("id", &PhaseStats::id)
      .field("name", &PhaseStats::name)
      .field("begin", &PhaseStats::begin)
      .field("end", &PhaseStats::end)
      .field("ended", &PhaseStats::ended)
      .field("samples", &PhaseStats::samples)
      .field("widest_gap", &PhaseStats::widest_gap)
      .field("resets", &PhaseStats::resets)
      .field("channels", &PhaseStats::channels)
      .done();
  py::tuple channels(kChannels);
  for (std::size_t i = 0; i < kChannels; ++i) {
    channels[i] = py::str(channel_name(static_cast<Channel>(i)));
  }
  m.attr("CHANNELS") = channels;
  m.attr("RANKS") = py::make_tuple(rank_name(Rank::none), rank_name(Rank::sample),
                                   rank_name(Rank::high_water), rank_name(Rank::event));
}

}  // namespace

void bind_sampler(py::module_& m) {
  bind_values(m);
  m.def("nvml_reason", &why_no_nvml, arg("uuid"), Release());
  // Destroyed without the GIL: its thread may be waiting for it inside a Python source.
  struct Deleter {
    void operator()(Sampler* sampler) const {
      const py::gil_scoped_release release;
      delete sampler;
    }
  };
  py::class_<Sampler, std::unique_ptr<Sampler, Deleter>>(
      m, "Sampler", "Reads RAM and NVML every `interval` seconds on a thread without the GIL.")
      .def(py::init([](double interval, std::int64_t capacity, const string& uuid,
                       const py::object& read) {
             return std::unique_ptr<Sampler, Deleter>(
                 make_sampler(interval, capacity, uuid, read).release());
           }),
           arg("interval") = 0.02, arg("capacity") = 65536, arg("uuid") = "",
           arg("read") = py::none())
      .def("start", &Sampler::start, Release())
      .def("stop", &Sampler::stop, Release())
      .def_property_readonly("running", py::cpp_function(&Sampler::running, Release()))
      .def("feed", &Sampler::feed, arg("marks"), Release())
      .def(
          "event",
          [](Sampler& sampler, const string& channel, std::int64_t count) {
            sampler.event(channel_named(channel), count);
          },
          arg("channel"), arg("count"), Release())
      .def("begin_phase", &Sampler::begin_phase, arg("name"), Release())
      .def("end_phase", &Sampler::end_phase, arg("id"), Release())
      .def("peek_phase", &Sampler::peek_phase, arg("id"), Release())
      .def("samples", &Sampler::samples, arg("after") = -1.0, Release())
      .def_property_readonly("taken", py::cpp_function(&Sampler::taken, Release()))
      .def_property_readonly("cpu_seconds", py::cpp_function(&Sampler::cpu_seconds, Release()))
      .def_property_readonly("started_at", &Sampler::started_at)
      .def("now", &Sampler::now);
}

}  // namespace truetile::bindings
