#pragma once

#include <string_view>

namespace truetile {

/// Version of the built library, e.g. "0.1.0". Python refuses a binary of another version.
[[nodiscard]] std::string_view version() noexcept;

}  // namespace truetile
