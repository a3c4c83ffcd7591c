// In both op libraries: the version that Python asks for before it trusts them.
#ifdef _WIN32
#define TRUETILE_EXPORT extern "C" __declspec(dllexport)
#else
#define TRUETILE_EXPORT extern "C" __attribute__((visibility("default")))
#endif

/// A binary of another version may mean other things by the same schema.
TRUETILE_EXPORT const char* truetile_ops_version() { return TRUETILE_VERSION; }
