#include "core/error.hpp"

namespace truetile {

void require(bool ok, std::string_view name, std::string_view value, std::string_view allowed) {
  if (!ok) throw InvalidArgument(text(name, "=", value, ": must be ", allowed));
}

void require_range(std::string_view name, std::int64_t value, std::int64_t low, std::int64_t high,
                   std::string_view context) {
  if (low <= value && value <= high) return;
  require(false, name, text(value), text("in [", low, ", ", high, "]", context));
}

void require_range(std::string_view name, std::int64_t value, std::int64_t low, std::int64_t high,
                   std::string_view argument, std::int64_t at) {
  if (low <= value && value <= high) return;
  require_range(name, value, low, high, text(" (", argument, "=", at, ")"));
}

}  // namespace truetile
