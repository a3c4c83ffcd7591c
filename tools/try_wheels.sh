#!/usr/bin/env bash
# Installs each wheel of dist/ into an environment of its own, away from this checkout, and uses it.
#
# The core runs everywhere, without torch. The ops are the same files in every wheel, and run in the
# one whose CPython the pinned torch is at hand for, that of $BIN: there the tests of the package
# run on the installed wheel.
set -euo pipefail
: "${BIN:=.venv/bin}" "${DIST:=dist}"
root=$PWD
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
own=$("$BIN/python" -c 'import sys; print("cp%d%d" % sys.version_info[:2])')

for wheel in "$DIST"/truetile-*.whl; do
  tag=$(basename "$wheel" | cut -d- -f3)
  python=$(bash tools/find_python.sh "3.${tag#cp3}")
  "$python" -m venv "$here/$tag"
  pip=("$here/$tag/bin/pip" --disable-pip-version-check -q)
  "${pip[@]}" install --no-index --no-deps "$wheel"
  cd "$here"
  echo "== $tag, without torch"
  "$tag/bin/truetile" doctor | sed 's/^/   /' || true
  "$tag/bin/python" -c 'from truetile import plan
assert plan.BACKEND == "native", plan.BACKEND
print("  ", plan.even_grid(100, 32, 8))'
  cd "$root"
  [ "$tag" = "$own" ] || continue

  echo "== $tag, with $(grep ^torch== requirements-dev.txt)"
  "${pip[@]}" install "$(grep ^torch== requirements-dev.txt)"
  "${pip[@]}" install $(grep -E '^(numpy|safetensors|pillow|pytest|hypothesis)[>=]' requirements-dev.txt)
  mkdir "$here/checkout"
  cp -r tests pyproject.toml "$here/checkout"
  cd "$here/checkout"
  "$here/$tag/bin/truetile" doctor | sed 's/^/   /'
  OMP_NUM_THREADS=1 "$here/$tag/bin/python" -m pytest -q tests/python/test_{ops,ops_arguments,layer_ops,group_norm_ops,plan,stream,locate}.py
  cd "$root"
done
