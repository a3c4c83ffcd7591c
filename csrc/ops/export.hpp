#pragma once

// What Python calls in the op libraries beside the ops.
#ifdef _WIN32
#define TRUETILE_EXPORT extern "C" __declspec(dllexport)
#else
#define TRUETILE_EXPORT extern "C" __attribute__((visibility("default")))
#endif
