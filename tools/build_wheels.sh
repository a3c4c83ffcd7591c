#!/usr/bin/env bash
# Builds dist/truetile-*.whl, one for each CPython that is here, and checks them all.
#
# The core knows nothing of CPython, nor do the op libraries, which stand on libtorch's stable ABI:
# they are compiled once, for every GPU architecture; only the pybind11 module is built for each.
# The manylinux tag is the oldest that this machine's glibc allows (auditwheel finds it).
#   WHEEL_PYTHONS="3.10 3.12" or paths of interpreters narrow the list.
set -euo pipefail
: "${BIN:=.venv/bin}" "${BUILD:=.venv/build/wheels}" "${DIST:=dist}" "${JOBS:=$(nproc)}"
: "${WHEEL_PYTHONS:=3.10 3.11 3.12 3.13}"
# Turing to Blackwell, and code that later GPUs compile for themselves.
: "${CUDA_ARCH:=75-real;80-real;86-real;89-real;90-real;100-real;120}"
BIN=$(cd "$BIN" && pwd)
export PATH="$BIN:$PATH"
"$BIN/python" -m pip install -q --disable-pip-version-check -r tools/requirements-wheel.txt

echo "core and op libraries, with the torch of $BIN/python"
cmake -S . -B "$BUILD/shared" -G Ninja -DCMAKE_BUILD_TYPE=Release -DPython_EXECUTABLE="$BIN/python" \
  -DTRUETILE_BUILD_PYTHON=OFF -DTRUETILE_CUDA_ARCHITECTURES="$CUDA_ARCH" >"$BUILD.log" ||
  { cat "$BUILD.log" >&2; exit 1; }
cmake --build "$BUILD/shared" -j "$JOBS"
rm -rf "$BUILD/installed" "$BUILD/raw"
cmake --install "$BUILD/shared" --component python --strip --prefix "$BUILD/installed" >/dev/null
prebuilt=$(cd "$BUILD/installed/truetile/_lib" && pwd)
cp "$BUILD/shared/csrc/core/libtruetile_core.a" "$prebuilt"
mkdir -p "$BUILD/raw" "$DIST"
rm -f "$DIST"/truetile-*.whl

absent=()
for wanted in $WHEEL_PYTHONS; do
  if ! python=$(bash tools/find_python.sh "$wanted"); then
    absent+=("$wanted")
    continue
  fi
  echo "wheel for $("$python" --version) ($python)"
  "$BIN/python" -m pip --python "$python" wheel -q --disable-pip-version-check --no-deps -w "$BUILD/raw" . \
    -Cbuild-dir="$BUILD/{wheel_tag}" -Cbuild.targets=_truetile_core \
    -Ccmake.define.TRUETILE_CUDA=OFF \
    -Ccmake.define.TRUETILE_PREBUILT="$prebuilt"
done

# libtorch is the user's own; libcudart is linked statically and must not come back.
for wheel in "$BUILD"/raw/*.whl; do
  auditwheel repair -w "$DIST" --exclude 'libtorch*.so*' --exclude 'libc10*.so*' \
    --exclude 'libcuda*.so*' "$wheel" 2>&1 | tail -n 1
done
cuda=$([ -e "$prebuilt/libtruetile_ops_cuda.so" ] && echo --cuda || true)
"$BIN/python" tools/check_wheels.py $cuda "$DIST"/truetile-*.whl
[ -n "$cuda" ] || echo "NOT in these wheels: the CUDA ops (no nvcc here)"
for wanted in "${absent[@]}"; do
  echo "NOT built: no CPython $wanted with its headers was found here"
done
