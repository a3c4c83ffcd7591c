#pragma once

#include <string_view>

namespace truetile {

/// Version and sources of the built library, e.g. "0.1.0+0f3a..". Python refuses other binaries.
[[nodiscard]] std::string_view version() noexcept;

}  // namespace truetile
