#!/usr/bin/env bash
# Makes the pinned development environment: a virtual environment and GoogleTest.
set -euo pipefail
: "${PYTHON:=python3}" "${VENV:=.venv}"

"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
  { echo "PYTHON=$PYTHON: must be Python 3.10 or newer" >&2; exit 2; }
[ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"
# torch goes first and alone: with it in place no other package asks for a build of its own.
torch=$(grep -E '^torch==' requirements-dev.txt)
"$VENV/bin/pip" install -q --disable-pip-version-check "$torch"
"$VENV/bin/pip" install -q --disable-pip-version-check -r requirements-dev.txt

# GoogleTest: found, else from the system's packages when root; else CMake downloads it.
found() { find /usr/include /usr/local/include -maxdepth 2 -path '*gtest/gtest.h' 2>/dev/null | grep -q .; }
if ! found && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get install -y -q libgtest-dev >/dev/null 2>&1 ||
    { apt-get update -q >/dev/null && apt-get install -y -q libgtest-dev >/dev/null; } ||
    echo "libgtest-dev could not be installed; CMake will download GoogleTest" >&2
fi
