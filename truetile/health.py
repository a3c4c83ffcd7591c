"""What is here of what TrueTile can use, and one line how to get what is not.

What `truetile doctor` prints. Nothing here raises or installs anything: torch and the driver are
the user's own.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import __version__, native, plan
from .native import locate

PACK = Path(__file__).absolute().parents[1]
OLDEST_COMFYUI = (0, 3, 64)
_OPS, _CUDA = "truetile_ops", "truetile_ops_cuda"
_COMPILERS = ("c++", "g++", "clang++", "cl")
_BUILD_PACKAGES = {
    "scikit_build_core": "scikit-build-core",
    "pybind11": "pybind11",
    "cmake": "cmake",
    "ninja": "ninja",
}
_DEMO_PACKAGES = ("diffusers", "safetensors", "PIL")


@dataclass(frozen=True)
class Finding:
    """One thing: what was found of it, else (`found` is empty) what is wrong and how to get it."""

    name: str
    found: str = ""
    why: str = ""
    get: str = ""

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.found or self.why}"]
        return "\n".join(lines + ([f"  to get it: {self.get}"] if self.get else []))


def libraries(with_torch: bool) -> Iterator[Finding]:
    """The native libraries; without torch only the core can be asked."""
    core = sys.modules[locate.CORE].__file__ if plan.BACKEND == "native" else None
    paths, why = {locate.CORE: core}, locate.reasons()
    if with_torch:
        for name, entry in native.status().items():
            if name != "calls":
                paths[name] = entry["path"] if entry["available"] else None
                why[name] = entry["reason"]
    for name, path in paths.items():
        if path:
            yield Finding(name, found=path)
        else:
            yield Finding(name, why=f"not used, {why[name]}", get=_remedy(name, why[name]))


def comfyui() -> Finding:
    """The ComfyUI whose custom_nodes this package lies in."""
    name = "ComfyUI"
    if not (PACK / "comfy_nodes").is_dir():
        get = (
            "git clone the repository into ComfyUI/custom_nodes/truetile: it uses these libraries; "
            "where that is done, `python -m truetile.cli doctor` in that folder sees ComfyUI"
        )
        return Finding(name, why="no nodes here, this is an installed wheel", get=get)
    root = PACK.parents[1]
    version = _version_of(root / "comfyui_version.py")
    if PACK.parent.name != "custom_nodes" or version is None:
        get = "git clone into ComfyUI/custom_nodes/truetile; or ask a running one: doctor --server"
        return Finding(name, why=f"none, {PACK} is not in a custom_nodes folder", get=get)
    number = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    if number < OLDEST_COMFYUI:
        oldest = ".".join(map(str, OLDEST_COMFYUI))
        get = f"update ComfyUI to {oldest} or newer"
        return Finding(name, why=f"too old, {version} in {root}", get=get)
    return Finding(name, found=f"{version} in {root}")


def demo() -> Finding:
    """What `truetile demo` needs beyond torch."""
    missing = [name for name in _DEMO_PACKAGES if not _importable(name)]
    if not missing:
        return Finding("truetile demo", found="all it needs is here")
    packages = " ".join("pillow" if name == "PIL" else name for name in missing)
    why = f"needs {packages}"
    return Finding("truetile demo", why=why, get=f"{sys.executable} -m pip install {packages}")


def _remedy(name: str, reason: str) -> str:
    """What to do about a library that is not used for `reason`."""
    if not locate.enabled():
        return "unset TRUETILE_NATIVE"
    if name != locate.CORE:
        import torch

        if "2.10 or newer" in reason:
            return "torch 2.10 or newer, as ComfyUI's own update brings it"
        if name == _CUDA and torch.version.cuda is None:
            return "on a machine with an NVIDIA GPU a CUDA build of torch; else nothing is missing"
        if "driver" in reason:
            return "an NVIDIA driver that supports the CUDA it was built with, or newer"
        if "no kernel image" in reason:
            return install(name, "-Ccmake.define.TRUETILE_CUDA_ARCHITECTURES=native")
    return install(name)


def install(name: str, *options: str) -> str:
    """One line that brings the library `name`: by the wheel, or built where that can be done."""
    pip = f"{sys.executable} -m pip install"
    tag = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    wheel = f"{pip} truetile-{__version__}-{tag}-{tag}-*.whl"
    if not (PACK / "CMakeLists.txt").is_file():
        return wheel
    absent = []
    if not any(map(shutil.which, _COMPILERS)):
        absent.append("a C++20 compiler")
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        absent.append("Python's headers")
    if name == _CUDA and not shutil.which("nvcc"):
        absent.append("nvcc of the CUDA toolkit")
    packages = [
        package
        for module, package in _BUILD_PACKAGES.items()
        if not _importable(module) and not shutil.which(module)
    ]
    if absent:
        return f"{wheel}, or build it with {' and '.join(absent)} (docs/install/compiler.md)"
    first = f"{pip} {' '.join(packages)} && " if packages else ""
    flags = "".join(f" {option}" for option in options)
    return f"cd {PACK} && {first}{pip} --no-build-isolation --no-deps{flags} ."


def _importable(module: str) -> bool:
    spec = importlib.util.find_spec(module)
    return spec is not None and spec.has_location  # the pack's own folder `cmake` has none


def _version_of(path: Path) -> str | None:
    """ComfyUI's version as it stands in its own file."""
    if not path.is_file():
        return None
    found = re.search(r'__version__ = "([\d.]+)', path.read_text(encoding="utf-8"))
    return found.group(1) if found else None
