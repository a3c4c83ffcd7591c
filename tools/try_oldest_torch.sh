#!/usr/bin/env bash
# Runs the tests of the ops under torch 2.10.0, the oldest that the op libraries promise to run with.
#   tools/try_oldest_torch.sh LIB_DIR    e.g. truetile/_lib of an unpacked wheel
#
# torch's wheel for this platform is the CUDA build (0.9 GB). What it links of NVIDIA (2.5 GB more)
# is left out but for the small cudart: empty libraries stand in, which is enough for a CPU, because
# lazy_binding.py lets the loader look a function up only when it is called.
set -euo pipefail
libraries=$(cd "${1:?usage: tools/try_oldest_torch.sh LIB_DIR}" && pwd)
: "${BIN:=.venv/bin}" "${OLDEST:=.venv/oldest_torch}"
BIN=$(cd "$BIN" && pwd)
mkdir -p "$OLDEST/standins"

if ! [ -d "$OLDEST/packages/torch" ]; then
  "$BIN/python" -m pip install -q --disable-pip-version-check --no-deps \
    --target "$OLDEST/packages" torch==2.10.0 nvidia-cuda-runtime-cu12==12.8.90
fi
torch=$OLDEST/packages/torch/lib
cudart=$OLDEST/packages/nvidia/cuda_runtime/lib
for name in $(readelf -d "$torch"/*.so | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | sort -u); do
  [ -e "$torch/$name" ] || [ -e "$cudart/$name" ] || ldconfig -p | grep -q "$name " ||
    cc -shared -o "$OLDEST/standins/$name" -Wl,-soname,"$name" -x c /dev/null
done

LD_LIBRARY_PATH=$(cd "$OLDEST/standins" && pwd) PYTHONPATH=$(cd "$OLDEST/packages" && pwd):$PWD \
  TRUETILE_LIB_DIR=$libraries OMP_NUM_THREADS=1 "$BIN/python" tools/lazy_binding.py 2.10.0 \
  -q -p no:cacheprovider tests/python/test_{ops,ops_arguments,layer_ops,group_norm_ops}.py
