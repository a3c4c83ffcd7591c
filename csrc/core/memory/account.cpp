#include "core/memory/account.hpp"

#include <cmath>
#include <iomanip>

#include "core/error.hpp"

namespace truetile::memory {
namespace {

void check(const std::string& name, Bytes bytes) {
  if (bytes) require_range(name, *bytes, 0, kMostBytes);
}

void check_all(const Readings& readings, const std::vector<Owner>& owners) {
  check("driver_total", readings.driver_total);
  check("driver_used", readings.driver_used);
  check("torch_allocated", readings.torch_allocated);
  check("torch_reserved", readings.torch_reserved);
  check("own_process", readings.own_process);
  for (const Owner& owner : owners) check(text("bytes of ", owner.name), owner.bytes);
  if (!readings.others) return;
  for (const ProcessUse& other : *readings.others) {
    check(text("bytes of process ", other.pid), other.bytes);
  }
}

/// Adds parts and keeps their sum.
class Sheet {
 public:
  void add(Part part) {
    sum_ += part.bytes;
    account.parts.push_back(std::move(part));
  }
  /// A remainder: below zero it says that somebody was counted twice or left meanwhile.
  void add_rest(Part part, const std::string& meaning) {
    if (part.bytes < 0) {
      account.notes.push_back(
          text(part.name, ": ", say_bytes(part.bytes), ", below zero: ", meaning));
    }
    add(std::move(part));
  }
  void note(std::string words) { account.notes.push_back(std::move(words)); }
  [[nodiscard]] std::int64_t sum() const noexcept { return sum_; }

  Account account;

 private:
  std::int64_t sum_ = 0;
};

void add_own(Sheet& sheet, const Readings& readings, const std::vector<Owner>& owners) {
  std::int64_t in_torch = 0;
  std::int64_t outside = 0;
  for (const Owner& owner : owners) {
    (owner.in_torch ? in_torch : outside) += owner.bytes;
    sheet.add({owner.name, owner.kind, owner.bytes, owner.detail});
  }
  std::int64_t held = in_torch;
  if (readings.torch_allocated) {
    held = *readings.torch_allocated;
    sheet.add_rest({"torch tensors of no known owner", "torch", held - in_torch, ""},
                   "owners name more than torch has allocated");
    if (readings.torch_reserved) {
      sheet.add_rest({"torch slack", "slack", *readings.torch_reserved - held,
                      "reserved, not allocated: held from others, usable by torch"},
                     "torch reserves less than it has allocated");
      held = *readings.torch_reserved;
    }
  }
  if (readings.own_process) {
    sheet.add_rest({"own memory outside torch", "own", *readings.own_process - held - outside,
                    "CUDA context, libraries, graphs"},
                   "this process holds less than its owners name");
  } else {
    sheet.note("own memory outside torch: not available, it is part of the unknown");
  }
}

void add_others(Sheet& sheet, const Readings& readings) {
  if (!readings.others) {
    sheet.note("other processes: not available, they are part of the unknown");
    return;
  }
  std::int64_t foreign = 0;
  bool complete = true;
  for (const ProcessUse& other : *readings.others) {
    if (other.bytes) {
      foreign += *other.bytes;
      sheet.add({text(other.name, " (pid ", other.pid, ")"), "process", *other.bytes, ""});
    } else {
      complete = false;
      sheet.note(text("process ", other.name, " (pid ", other.pid,
                      "): bytes not available, they are part of the unknown"));
    }
  }
  if (complete) sheet.account.foreign = foreign;
}

}  // namespace

std::string say_bytes(Bytes bytes) {
  if (!bytes) return "unknown";
  const double size = std::abs(static_cast<double>(*bytes));
  const bool big = size >= static_cast<double>(kGiB);
  const double value = static_cast<double>(*bytes) / static_cast<double>(big ? kGiB : kMiB);
  return text(std::fixed, std::setprecision(big ? 2 : 1), value, big ? " GiB" : " MiB");
}

Account make_account(const Readings& readings, const std::vector<Owner>& owners) {
  check_all(readings, owners);
  Sheet sheet;
  sheet.account.total = readings.driver_total;
  sheet.account.used = readings.driver_used;
  add_own(sheet, readings, owners);
  add_others(sheet, readings);
  if (readings.driver_used) {
    const std::int64_t rest = *readings.driver_used - sheet.sum();
    sheet.account.unknown = rest;
    sheet.add_rest({"unknown", "unknown", rest, ""}, "somebody was counted twice");
  } else {
    sheet.note("used bytes of the device: not available, so the parts cannot be checked");
  }
  return std::move(sheet.account);
}

}  // namespace truetile::memory
