#include "bindings/bind_memory.hpp"

#include "bindings/record.hpp"
#include "core/error.hpp"
#include "core/memory/account.hpp"
#include "core/memory/fragmentation.hpp"
#include "core/memory/pins.hpp"
#include "core/memory/verdict.hpp"

namespace truetile::bindings {
namespace {

using namespace truetile::memory;
using py::arg;
using std::string;
template <typename T>
using Maybe = std::optional<T>;

void bind_account(py::module_& m) {
  Record<Owner>(m, "Owner", "Somebody in this process who holds memory.")
      .field("name", &Owner::name)
      .field("kind", &Owner::kind)
      .field("bytes", &Owner::bytes)
      .field("in_torch", &Owner::in_torch)
      .field("detail", &Owner::detail)
      .done()
      .def(py::init<string, string, std::int64_t, bool, string>(), arg("name"), arg("kind"),
           arg("bytes"), arg("in_torch") = true, arg("detail") = "");
  Record<ProcessUse>(m, "ProcessUse", "Another process on the same device.")
      .field("pid", &ProcessUse::pid)
      .field("name", &ProcessUse::name)
      .field("bytes", &ProcessUse::bytes)
      .done()
      .def(py::init<std::int64_t, string, Bytes>(), arg("pid"), arg("name"), arg("bytes"));
  Record<Readings>(m, "Readings", "What driver, torch and NVML say at one moment.")
      .field("driver_total", &Readings::driver_total)
      .field("driver_used", &Readings::driver_used)
      .field("torch_allocated", &Readings::torch_allocated)
      .field("torch_reserved", &Readings::torch_reserved)
      .field("own_process", &Readings::own_process)
      .field("others", &Readings::others)
      .done()
      .def(py::init<Bytes, Bytes, Bytes, Bytes, Bytes, Maybe<std::vector<ProcessUse>>>(),
           arg("driver_total") = py::none(), arg("driver_used") = py::none(),
           arg("torch_allocated") = py::none(), arg("torch_reserved") = py::none(),
           arg("own_process") = py::none(), arg("others") = py::none());
  Record<Part>(m, "Part", "One line of an account.")
      .field("name", &Part::name)
      .field("kind", &Part::kind)
      .field("bytes", &Part::bytes)
      .field("detail", &Part::detail)
      .done()
      .def(py::init<string, string, std::int64_t, string>(), arg("name"), arg("kind"), arg("bytes"),
           arg("detail") = "");
  Record<Account>(m, "Account", "Who holds a device's memory; the parts sum to `used` exactly.")
      .field("parts", &Account::parts)
      .field("total", &Account::total)
      .field("used", &Account::used)
      .field("unknown", &Account::unknown)
      .field("foreign", &Account::foreign)
      .field("notes", &Account::notes)
      .done();
  m.def("make_account", &make_account, arg("readings"), arg("owners"));
  m.def("say_bytes", &say_bytes, arg("count"));
}

void bind_case(py::module_& m) {
  Record<Expectation>(m, "Expectation", "What one owner held, was to hold, and holds now.")
      .field("owner", &Expectation::owner)
      .field("before", &Expectation::before)
      .field("target", &Expectation::target)
      .field("after", &Expectation::after)
      .field("in_torch", &Expectation::in_torch)
      .done()
      .def(py::init<string, std::int64_t, std::int64_t, std::int64_t, bool>(), arg("owner"),
           arg("before"), arg("target"), arg("after"), arg("in_torch") = true);
  Record<Levels>(m, "Levels", "One reading at the levels below the owners.")
      .field("torch_allocated", &Levels::torch_allocated)
      .field("torch_reserved", &Levels::torch_reserved)
      .field("driver_used", &Levels::driver_used)
      .field("foreign", &Levels::foreign)
      .field("stranded", &Levels::stranded)
      .done()
      .def(py::init<Bytes, Bytes, Bytes, Bytes, Bytes>(), arg("torch_allocated") = py::none(),
           arg("torch_reserved") = py::none(), arg("driver_used") = py::none(),
           arg("foreign") = py::none(), arg("stranded") = py::none());
  Record<OffloadCase>(m, "OffloadCase", "All that a verdict needs.")
      .field("owners", &OffloadCase::owners)
      .field("before", &OffloadCase::before)
      .field("after", &OffloadCase::after)
      .done()
      .def(py::init<std::vector<Expectation>, Levels, Levels, std::int64_t, Bytes, Bytes,
                    std::vector<Owner>, Bytes, Bytes, Bytes, Bytes, std::vector<Part>, bool>(),
           arg("owners"), arg("before"), arg("after"), arg("tolerance") = kNativeTolerance,
           arg("requested") = py::none(), arg("allowed_allocated") = py::none(),
           arg("suspects") = py::tuple(), arg("stays") = py::none(), arg("may_stay") = py::none(),
           arg("free") = py::none(), arg("must_be_free") = py::none(), arg("present") = py::tuple(),
           arg("nothing_to_prove") = false);
}

void bind_verdict(py::module_& m) {
  bind_case(m);
  Record<LevelResult>(m, "LevelResult", "One level of a verdict.")
      .field("name", &LevelResult::name)
      .field("expected", &LevelResult::expected)
      .field("freed", &LevelResult::freed)
      .field("outcome", &LevelResult::outcome)
      .done();
  Record<Holder>(m, "Holder", "Who keeps bytes that were to be free.")
      .field("name", &Holder::name)
      .field("bytes", &Holder::bytes)
      .field("why", &Holder::why)
      .done();
  Record<Verdict> verdict(m, "Verdict", "`outcome` is \"pass\", \"partial\" or \"fail\".");
  verdict.property("outcome", [](const Verdict& v) { return outcome_name(v.outcome); })
      .field("levels", &Verdict::levels)
      .field("holders", &Verdict::holders)
      .field("foreign_drift", &Verdict::foreign_drift)
      .field("notes", &Verdict::notes)
      .done();
  m.def("judge", &judge, arg("offload"));
  m.attr("NATIVE_TOLERANCE") = kNativeTolerance;
  m.attr("POOL_TOLERANCE") = kPoolTolerance;
  m.attr("SECOND_READING_SECONDS") = kSecondReadingSeconds;
}

BlockState state_named(const string& name) {
  if (name == "live") return BlockState::live;
  if (name == "awaiting") return BlockState::awaiting;
  require(name == "free", "state", name, "live, awaiting or free");
  return BlockState::free;
}

void bind_fragmentation(py::module_& m) {
  py::class_<Block>(m, "Block", "`state` is \"live\", \"awaiting\" or \"free\".")
      .def(py::init([](std::int64_t size, std::int64_t requested, const string& state) {
             return Block{size, requested, state_named(state)};
           }),
           arg("size"), arg("requested"), arg("state"));
  py::class_<Segment>(m, "Segment", "One stretch of memory that torch took from the driver.")
      .def(py::init<std::uint64_t, std::int64_t, string, bool, std::vector<Block>>(),
           arg("address"), arg("stream"), arg("pool"), arg("expandable"), arg("blocks"));
  Record<PoolFree>(m, "PoolFree", "Free memory that only one pool on one stream can use.")
      .field("pool", &PoolFree::pool)
      .field("stream", &PoolFree::stream)
      .field("free", &PoolFree::free)
      .field("largest", &PoolFree::largest)
      .field("fragmentation", &PoolFree::fragmentation)
      .done();
  Record<Tooth>(m, "Tooth", "A segment that a live block keeps from going back to the driver.")
      .field("address", &Tooth::address)
      .field("free", &Tooth::free)
      .field("live", &Tooth::live)
      .done();
  Record<Fragmentation>(m, "Fragmentation", "slack = limbo + stranded + releasable.")
      .field("reserved", &Fragmentation::reserved)
      .field("allocated", &Fragmentation::allocated)
      .field("slack", &Fragmentation::slack)
      .field("limbo", &Fragmentation::limbo)
      .field("stranded", &Fragmentation::stranded)
      .field("releasable", &Fragmentation::releasable)
      .field("rounding_loss", &Fragmentation::rounding_loss)
      .field("pools", &Fragmentation::pools)
      .field("comb", &Fragmentation::comb)
      .done();
  m.def("analyze", &analyze, arg("segments"));
  Record<Pin>(m, "Pin", "A segment whose free memory other blocks keep from the driver.")
      .field("address", &Pin::address)
      .field("size", &Pin::size)
      .field("free", &Pin::free)
      .field("live", &Pin::live)
      .field("awaiting", &Pin::awaiting)
      .field("unknown", &Pin::unknown)
      .field("storages", &Pin::storages)
      .done();
  m.def("find_pins", &find_pins, arg("segments"), arg("storages"));
}

}  // namespace

void bind_memory(py::module_& module) {
  py::module_ m = module.def_submodule("memory", "Accounts, verdicts and the sampler.");
  bind_account(m);
  bind_verdict(m);
  bind_fragmentation(m);
  bind_sampler(m);
}

}  // namespace truetile::bindings
