#include "core/memory/verdict.hpp"

#include <algorithm>
#include <functional>
#include <map>

#include "core/error.hpp"

namespace truetile::memory {
namespace {

/// Collects a verdict level by level, from the owners down to the driver.
class Judge {
 public:
  explicit Judge(const OffloadCase& offload) : case_(offload) {}

  Verdict run() {
    owners();
    allocated();
    reserved();
    driver();
    request();
    budgets();
    proof();
    return std::move(verdict_);
  }

 private:
  void worse(Outcome outcome) { verdict_.outcome = std::max(verdict_.outcome, outcome); }
  void hold(std::string name, std::int64_t bytes, std::string why) {
    verdict_.holders.push_back({std::move(name), bytes, std::move(why)});
  }
  void level(std::string name, std::int64_t expected, Bytes freed, bool ok) {
    const char* outcome = !freed ? "not available" : ok ? "ok" : "short";
    verdict_.levels.push_back({std::move(name), expected, freed, outcome});
  }

  void owners() {
    std::int64_t freed = 0;
    bool ok = true;
    for (const Expectation& owner : case_.owners) {
      require_range(text("before of ", owner.owner), owner.before, 0, kMostBytes);
      require_range(text("target of ", owner.owner), owner.target, 0, owner.before, "before",
                    owner.before);
      require_range(text("after of ", owner.owner), owner.after, 0, kMostBytes);
      expected_ += owner.before - owner.target;
      freed += owner.before - owner.after;
      const std::int64_t over = owner.after - owner.target;
      if (owner.in_torch) {
        in_torch_ += owner.before - owner.target;
        explained_ += std::max<std::int64_t>(over, 0);
      }
      if (over <= case_.tolerance) continue;
      ok = false;
      hold(owner.owner, over, "was to leave the device and is still resident");
    }
    level("owners", expected_, freed, ok);
    if (!ok) worse(Outcome::fail);
  }

  void allocated() {
    const Bytes before = case_.before.torch_allocated;
    const Bytes after = case_.after.torch_allocated;
    if (!before || !after) return level("torch allocated", in_torch_, {}, true);
    const std::int64_t freed = *before - *after;
    std::int64_t missing = in_torch_ - freed;
    if (case_.allowed_allocated) missing = std::max(missing, *after - *case_.allowed_allocated);
    allocated_ok_ = case_.nothing_to_prove || missing <= case_.tolerance;
    level("torch allocated", in_torch_, freed, allocated_ok_);
    if (allocated_ok_) return;
    worse(Outcome::fail);
    name_rest(missing - explained_);
  }

  /// Names who keeps `rest` bytes of torch's that no expected owner explains.
  void name_rest(std::int64_t rest) {
    for (const Owner& suspect : case_.suspects) {
      if (rest <= case_.tolerance) return;
      if (!suspect.in_torch || suspect.bytes <= 0) continue;
      hold(suspect.name, suspect.bytes, suspect.detail);
      rest -= suspect.bytes;
    }
    if (rest > case_.tolerance) {
      hold("torch tensors of no known owner", rest, "referenced from where Python cannot see");
    }
  }

  void reserved() {
    const Bytes before = case_.before.torch_reserved;
    const Bytes after = case_.after.torch_reserved;
    if (!before || !after) return level("torch reserved", in_torch_, {}, true);
    const std::int64_t freed = *before - *after;
    cached_ = std::max<std::int64_t>(in_torch_ - freed, 0);
    const bool ok = case_.nothing_to_prove || cached_ <= case_.tolerance;
    proven_ = true;
    level("torch reserved", in_torch_, freed, ok);
    if (ok || !allocated_ok_) return;
    worse(Outcome::partial);
    hold("torch's cache", cached_,
         case_.after.stranded
             ? text(say_bytes(case_.after.stranded), " of it stranded beside live blocks")
             : std::string("this allocator does not tell what keeps it there"));
  }

  void driver() {
    const Levels& before = case_.before;
    const Levels& after = case_.after;
    if (!before.driver_used || !after.driver_used) return level("driver", expected_, {}, true);
    std::int64_t freed = *before.driver_used - *after.driver_used;
    bool told_apart = false;
    if (before.foreign && after.foreign) {
      const std::int64_t drift = *after.foreign - *before.foreign;
      verdict_.foreign_drift = drift;
      freed += drift;
      told_apart = true;
    }
    // What torch's cache keeps was said one level up.
    const std::int64_t rest = expected_ - freed - cached_ - outside_over();
    const bool ok = case_.nothing_to_prove || expected_ - freed <= case_.tolerance;
    proven_ = true;
    level("driver", expected_, freed, ok);
    if (ok || rest <= case_.tolerance) return;
    if (told_apart) {
      worse(Outcome::fail);
      hold("own memory outside torch", rest, "grew while the owners left");
    } else {
      worse(Outcome::partial);
      hold("unknown", rest, "taken by another process or by libraries: not available which");
    }
  }

  /// Bytes that owners outside torch kept; they are holders already.
  [[nodiscard]] std::int64_t outside_over() const {
    std::int64_t over = 0;
    for (const Expectation& owner : case_.owners) {
      if (!owner.in_torch) over += std::max<std::int64_t>(owner.after - owner.target, 0);
    }
    return over;
  }

  void request() {
    if (!case_.requested || expected_ >= *case_.requested - case_.tolerance) return;
    worse(Outcome::partial);
    verdict_.notes.push_back(text("requested ", say_bytes(case_.requested),
                                  ", but all that could leave is ", say_bytes(expected_)));
  }

  void budgets() {
    if (case_.may_stay) {
      if (!case_.stays) {
        cannot_tell("may_stay");
      } else if (*case_.stays > *case_.may_stay) {
        worse(Outcome::fail);
        verdict_.notes.push_back(text(say_bytes(case_.stays), " stay on the device, the budget is ",
                                      say_bytes(case_.may_stay)));
        name_present(*case_.stays - *case_.may_stay, "over the budget", false);
      }
    }
    if (!case_.must_be_free) return;
    if (!case_.free) {
      cannot_tell("must_be_free");
    } else if (*case_.free < *case_.must_be_free) {
      worse(Outcome::fail);
      verdict_.notes.push_back(
          text(say_bytes(case_.free), " are free, ", say_bytes(case_.must_be_free), " have to be"));
      name_present(*case_.must_be_free - *case_.free, "in the way of the budget", true);
    }
  }

  void cannot_tell(const char* budget) {
    worse(Outcome::partial);
    verdict_.notes.push_back(text("budget ", budget, ": cannot be checked, no reading for it"));
  }

  /// The largest parts that together hold `missing` bytes.
  void name_present(std::int64_t missing, const char* why, bool with_others) {
    // Equal parts stay in the order of the account.
    std::multimap<std::int64_t, const Part*, std::greater<>> largest;
    for (const Part& part : case_.present) largest.emplace(part.bytes, &part);
    for (const auto& [bytes, found] : largest) {
      const Part& part = *found;
      if (missing <= 0 || part.bytes <= 0) return;
      const bool outside = part.kind == "process" || part.kind == "own" || part.kind == "unknown";
      if (!with_others && outside) continue;
      const bool named = std::any_of(verdict_.holders.begin(), verdict_.holders.end(),
                                     [&](const Holder& h) { return h.name == part.name; });
      if (!named) hold(part.name, part.bytes, part.detail.empty() ? why : part.detail);
      missing -= part.bytes;
    }
  }

  /// Neither parameter devices nor allocated bytes prove anything: dynamic pages are outside both.
  void proof() {
    if (proven_ || case_.nothing_to_prove || expected_ == 0) return;
    worse(Outcome::partial);
    verdict_.notes.emplace_back("neither torch's reserved bytes nor the driver's are available");
  }

  const OffloadCase& case_;
  Verdict verdict_;
  std::int64_t expected_ = 0;
  std::int64_t in_torch_ = 0;
  std::int64_t explained_ = 0;  // bytes in torch that named owners still hold
  std::int64_t cached_ = 0;     // bytes that left the tensors and not the cache
  bool allocated_ok_ = true;
  bool proven_ = false;
};

}  // namespace

Verdict judge(const OffloadCase& offload) {
  require_range("tolerance", offload.tolerance, 0, kGiB);
  return Judge(offload).run();
}

std::string outcome_name(Outcome outcome) {
  switch (outcome) {
    case Outcome::pass:
      return "pass";
    case Outcome::partial:
      return "partial";
    case Outcome::fail:
      return "fail";
  }
  return "fail";
}

}  // namespace truetile::memory
