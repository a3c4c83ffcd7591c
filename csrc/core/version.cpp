#include "core/version.hpp"

namespace truetile {

std::string_view version() noexcept { return TRUETILE_VERSION; }

}  // namespace truetile
