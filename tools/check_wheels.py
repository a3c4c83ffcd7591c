"""Checks finished wheels: what they hold, what they link, and which torch they need.

    python tools/check_wheels.py [--cuda] dist/truetile-*.whl

Each must hold the C++ core for its own CPython and the op library (with --cuda the CUDA one too),
link nothing but libtorch and the C and C++ run times, bring no copy of another library, and keep to
the stable ABI of torch 2.10. The op libraries of all wheels must be the same files. One line is
printed per wheel; the exit status is 1 when one is not as it should be.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from auditwheel.elfutils import elf_read_dt_needed
from torch_abi_audit import inspect_package

OLDEST_TORCH = "2.10.0"
OPS = ("libtruetile_ops.so", "libtruetile_ops_cuda.so")
LINKED = re.compile(
    r"lib(torch|torch_cpu)\.so|lib(stdc\+\+|m|gcc_s|c|pthread|dl|rt)\.so\.\d+|ld-linux-.*"
)


def main() -> int:
    """Says what is wrong with each wheel; 0 when nothing is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cuda", action="store_true", help="the CUDA ops must be there")
    parser.add_argument("wheels", nargs="+", type=Path)
    args = parser.parse_args()
    good, ops = True, {}
    for wheel in args.wheels:
        with tempfile.TemporaryDirectory() as folder:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(folder)
            faults = list(_faults(wheel.name, Path(folder), args.cuda, ops))
        size = wheel.stat().st_size / 2**20
        verdict = "; ".join(faults) or f"good for torch >= {OLDEST_TORCH}"
        print(f"{wheel.name}: {size:.1f} MiB: {verdict}")
        good = good and not faults
    return 0 if good else 1


def _faults(name: str, folder: Path, cuda: bool, ops: dict[str, bytes]) -> Iterator[str]:
    """What is wrong with one unpacked wheel; `ops` remembers the op libraries of those before."""
    python = name.split("-")[2].removeprefix("cp")
    if "manylinux" not in name:
        yield "not a manylinux wheel"
    libraries = {path.name: path for path in folder.rglob("*") if ".so" in path.suffixes}
    wanted = {f"_truetile_core.cpython-{python}-x86_64-linux-gnu.so", *OPS[: 2 if cuda else 1]}
    if set(libraries) != wanted:
        yield f"holds {', '.join(sorted(libraries))}, not {', '.join(sorted(wanted))}"
    for path in libraries.values():
        if path.parent != folder / "truetile" / "_lib":
            yield f"{path.relative_to(folder)} lies outside of truetile/_lib"
        for needed in elf_read_dt_needed(path):
            if not LINKED.fullmatch(needed):
                yield f"{path.name} links {needed}"
        if path.name in OPS and ops.setdefault(path.name, path.read_bytes()) != path.read_bytes():
            yield f"{path.name} is not the same file as in the wheels before"
    audit = inspect_package(folder / "truetile")
    if audit.torch_verdict != "torch-stable":
        yield f"torch-abi-audit says {audit.torch_verdict}"
    if audit.min_torch_display != OLDEST_TORCH:
        yield f"torch-abi-audit says torch {audit.min_torch_display} is needed"


if __name__ == "__main__":
    sys.exit(main())
