#!/usr/bin/env bash
# Prints the path of a CPython that extension modules can be built for; fails where there is none.
#   tools/find_python.sh 3.12 | /path/to/python
set -euo pipefail
wanted=${1:?usage: tools/find_python.sh VERSION_OR_PATH}

candidates=("$wanted" "python$wanted")
candidates+=("${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$wanted".*/bin/python"$wanted")
candidates+=("$HOME"/.local/share/uv/python/cpython-"$wanted".*/bin/python"$wanted")
for python in "${candidates[@]}"; do
  # A shim may be on PATH without its version, and an interpreter may lack its headers.
  "$python" -c 'import os, sys, sysconfig
include = sysconfig.get_path("include")
sys.exit(not os.path.isfile(os.path.join(include, "Python.h")))' 2>/dev/null || continue
  "$python" -c 'import sys; print(sys._base_executable)'  # not that of an environment
  exit 0
done
exit 1
