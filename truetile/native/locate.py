"""Where the native libraries lie, and why one was not used.

Searched in this order: `TRUETILE_LIB_DIR`, `<package>/_lib`, `truetile/_lib` of the interpreter's
site-packages (the package may be a checkout inside ComfyUI, the libraries pip's). With
`TRUETILE_NATIVE=0` when the process starts nothing native is used. Nothing here raises: a missing
or broken binary becomes a recorded reason.
"""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType

from .. import errors
from .sources import BUILD

# One fixed top-level name: the pack may be imported under several package names in one process,
# but pybind11 registers its types once.
CORE = "_truetile_core"
_SUFFIXES = (".dll", ".pyd") if sys.platform == "win32" else (".so",)
_reasons: dict[str, str] = {}


@functools.cache
def _allowed() -> bool:
    return os.environ.get("TRUETILE_NATIVE", "1") != "0"


_without = ContextVar("without", default=False)


def enabled() -> bool:
    """Whether native code may serve. Every call of an op asks; the environment is read once."""
    return not _without.get() and _allowed()


@contextmanager
def without_native() -> Iterator[None]:
    """Within it nothing native is used, as with `TRUETILE_NATIVE=0`."""
    before = _without.set(True)
    try:
        yield
    finally:
        _without.reset(before)


def folders() -> list[Path]:
    """Folders that may hold the libraries, best first."""
    found = [Path(os.environ["TRUETILE_LIB_DIR"])] if os.environ.get("TRUETILE_LIB_DIR") else []
    found.append(Path(__file__).resolve().parent.parent / "_lib")
    for name in ("purelib", "platlib"):
        found.append(Path(sysconfig.get_path(name)) / "truetile" / "_lib")
    return list(dict.fromkeys(found))


def library(name: str) -> Path | None:
    """Path of the library `name` (e.g. `truetile_ops`, `_truetile_core`), or None with a reason."""
    if not enabled():
        _reasons[name] = "switched off by TRUETILE_NATIVE=0"
        return None
    suffixes = _SUFFIXES
    if name == CORE:
        suffixes = tuple(importlib.machinery.EXTENSION_SUFFIXES)
    for folder in folders():
        for suffix in suffixes:
            for prefix in ("", "lib"):
                path = folder / f"{prefix}{name}{suffix}"
                if path.is_file():
                    _reasons.pop(name, None)
                    return path
    _reasons[name] = f"{name} not found in {', '.join(map(str, folders()))}"
    return None


def other_build(path: object, version: str) -> str:
    """Why a library of another `version` does not serve, and what to do."""
    return (
        f"{path} is version {version}, this package {BUILD}: run "
        "`pip install --no-build-isolation --no-deps .` again in the pack's folder"
    )


def core() -> ModuleType | None:
    """The C++ core, loaded once a process, raising our errors; None when it cannot be used."""
    path = library(CORE)
    if path is None:
        return None
    module = sys.modules.get(CORE) or _load(path)
    if module is None:
        return None
    version = getattr(module, "__version__", "unknown")
    if version != BUILD:
        _reasons[CORE] = other_build(module.__file__, version)
        return None
    _share_errors(module)
    return module


def _share_errors(core: ModuleType) -> None:
    """Makes the core's exceptions ours."""
    for name in ("InvalidArgument", "BudgetError", "LadderExhausted"):
        ours, theirs = getattr(errors, name), getattr(core, name)
        # A second copy of this package in the process: what is raised must be both copies' error.
        if not issubclass(theirs, ours):
            both = ours if issubclass(ours, theirs) else type(name, (ours, theirs), {})
            setattr(core, name, both)


def _load(path: Path) -> ModuleType | None:
    try:
        spec = importlib.util.spec_from_file_location(CORE, path)
        if spec is None or spec.loader is None:
            raise ImportError("not an extension module")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    except (ImportError, OSError) as error:
        _reasons[CORE] = f"{path} cannot be loaded: {error}"
        return None
    sys.modules[CORE] = module
    return module


def complete(
    core: ModuleType | None, names: Iterable[str], part: str | None = None
) -> ModuleType | None:
    """`core`, or a `part` of it; None, with the reason, where it lacks one of `names`."""
    if core is None:
        return None
    found = core if part is None else getattr(core, part, None)
    missing = [name for name in names if not hasattr(found, name)]
    if not missing:
        return found
    _reasons[CORE] = f"{core.__file__} lacks {', '.join(missing)}: build it again"
    return None


def reasons() -> dict[str, str]:
    """For each library that is not used: why. Filled by `library` and `core`."""
    return dict(_reasons)
