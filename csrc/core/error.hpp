#pragma once

#include <cstdint>
#include <locale>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace truetile {

/// An argument is outside its range; reads like `overlap=64: must be in [0, 63] (tile=64)`.
class InvalidArgument : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

/// No rung fits the byte budget; lists what each rung needs.
class BudgetError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Memory ran out and no rung makes the call smaller; lists the rungs and their bytes.
class LadderExhausted : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The parts one after the other, numbers in plain decimal whatever the locale.
template <typename... Parts>
[[nodiscard]] std::string text(const Parts&... parts) {
  std::ostringstream stream;
  stream.imbue(std::locale::classic());
  (stream << ... << parts);
  return std::move(stream).str();
}

/// Throws InvalidArgument `name=value: must be allowed` unless `ok`.
void require(bool ok, std::string_view name, std::string_view value, std::string_view allowed);

/// Throws InvalidArgument unless low <= value <= high; `context` follows the range as it is.
void require_range(std::string_view name, std::int64_t value, std::int64_t low, std::int64_t high,
                   std::string_view context = {});

/// As above with the context ` (argument=at)`, built only for the message.
void require_range(std::string_view name, std::int64_t value, std::int64_t low, std::int64_t high,
                   std::string_view argument, std::int64_t at);

}  // namespace truetile
