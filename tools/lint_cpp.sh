#!/usr/bin/env bash
# clang-format on every C++ and CUDA file, clang-tidy on what a host compiler builds without torch.
set -euo pipefail
: "${BIN:=.venv/bin}" "${BUILD:=.venv/build/editable}"

mapfile -t files < <(git ls-files 'csrc/*' 'tests/cpp/*' | grep -E '\.(cpp|hpp|cu|cuh)$')
"$BIN/clang-format" --dry-run --Werror "${files[@]}"

# Tidy is slow: a file is checked again only when it, a header or the rules changed.
stamp="$BUILD/.tidy"
mapfile -t units < <(git ls-files 'csrc/core/*.cpp' 'csrc/kernels/cpu/*.cpp')
if [ -e "$stamp" ] && [ -z "$(find csrc .clang-tidy -newer "$stamp" -type f | head -n 1)" ]; then
  exit 0
fi
printf '%s\0' "${units[@]}" | xargs -0 -n 1 -P "$(nproc)" "$BIN/clang-tidy" -p "$BUILD" --quiet
touch "$stamp"
