#!/usr/bin/env bash
# Builds the op libraries (and the core's Python module where pybind11 is) into one folder, with
# plain CMake: for a machine with a GPU where nothing can be installed.
#   tools/build_native.sh OUT_DIR && TRUETILE_LIB_DIR=OUT_DIR pytest -m cuda
# PYTHON names the interpreter whose torch is built against; CUDA_ARCH narrows the architectures
# (e.g. 90) to save time.
set -euo pipefail
out=${1:?usage: tools/build_native.sh OUT_DIR}
: "${PYTHON:=python3}" "${CUDA_ARCH:=80-real;90}" "${JOBS:=$(nproc)}"
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$out"
out=$(cd "$out" && pwd)
build="$out/build"

pybind=$("$PYTHON" -c 'import pybind11; print(pybind11.get_cmake_dir())' 2>/dev/null || true)
cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
  -DPython_EXECUTABLE="$(command -v "$PYTHON")" -DTRUETILE_BUILD_TESTS=OFF \
  -DTRUETILE_BUILD_PYTHON="$([ -n "$pybind" ] && echo ON || echo OFF)" -Dpybind11_DIR="$pybind" \
  -DTRUETILE_CUDA_ARCHITECTURES="$CUDA_ARCH"
cmake --build "$build" -j "$JOBS"
# The layout of an installed package has the libraries in truetile/_lib: only they are wanted here.
cmake --install "$build" --component python --prefix "$build/installed"
cp "$build"/installed/truetile/_lib/* "$out"
ls -l "$out"
