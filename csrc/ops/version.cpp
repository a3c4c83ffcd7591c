// In both op libraries: the version that Python asks for before it trusts them.
#include "ops/export.hpp"

/// A binary of another version may mean other things by the same schema.
TRUETILE_EXPORT const char* truetile_ops_version() { return TRUETILE_VERSION; }
