#!/usr/bin/env bash
# Compiles the core and the CPU kernels for Windows by MinGW-w64 and runs their GoogleTests under
# Wine. What is missing here is said and skipped; `--install` gets it from Debian's packages first.
set -euo pipefail
: "${BIN:=.venv/bin}" "${JOBS:=$(nproc)}"
export PATH="$PWD/$BIN:$PATH"

compiler=x86_64-w64-mingw32-g++-posix
packages="g++-mingw-w64-x86-64-posix googletest wine64"
if [ "${1:-}" = --install ] && [ "$(id -u)" = 0 ] && ! command -v "$compiler" >/dev/null; then
  # shellcheck disable=SC2086
  { apt-get update -q && apt-get install -y -q --no-install-recommends $packages; } >/dev/null ||
    echo "$packages could not be installed" >&2
fi
if ! command -v "$compiler" >/dev/null || ! [ -d /usr/src/googletest ]; then
  echo "SKIPPED: nothing was compiled for Windows: apt-get install $packages"
  exit 0
fi
cmake --preset mingw >/dev/null
cmake --build --preset mingw -j "$JOBS"

wine=$(sed -n 's/^TRUETILE_WINE:[A-Z]*=//p' .venv/build/mingw/CMakeCache.txt)
if ! [ -x "$wine" ]; then
  echo "SKIPPED: compiled for Windows, but its tests were not run: apt-get install wine64"
  exit 0
fi
export WINEPREFIX="$PWD/.venv/wine" WINEDEBUG=-all
# Its first start makes the prefix; two at once would get in each other's way.
"$wine" wineboot --init >/dev/null 2>&1
ctest --preset mingw -j "$JOBS"
