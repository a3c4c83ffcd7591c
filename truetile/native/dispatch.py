"""Which form of an op runs: native where a library serves the call, plain torch elsewhere.

That is decided per call and counted with its reason; `status()` shows it.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import InvalidArgument
from . import locate
from .sources import BUILD

if TYPE_CHECKING:
    import torch

# The op library that serves a device type. The CPU library registers the schemas for both.
_LIBRARIES = {"cpu": "truetile_ops", "cuda": "truetile_ops_cuda"}
_OLDEST_TORCH = (2, 10)
# By op and why its twin ran, None for the native op.
_calls: Counter[tuple[str, str | None]] = Counter()


def status() -> dict[str, Any]:
    """Say which op libraries serve, or why not, and what has run so far.

    Returns:
        ``{"truetile_ops": {"available": bool, "reason": str | None, "path": str | None},
        "truetile_ops_cuda": ..., "calls": {"blend_tile: native": n, "blend_tile: twin (why)": m}}``
    """
    answer: dict[str, Any] = {}
    for device, name in _LIBRARIES.items():
        reason = _switched_off() or _load(device)
        path = locate.library(name)
        answer[name] = {
            "available": reason is None,
            "reason": reason,
            "path": str(path) if path else None,
        }
    calls = {f"{op}: {f'twin ({why})' if why else 'native'}": n for (op, why), n in _calls.items()}
    answer["calls"] = dict(sorted(calls.items()))
    return answer


def why_twin(device: str) -> str | None:
    """Why tensors on a device type ("cpu", "cuda", ...) are served by the twins; None if not."""
    if reason := _switched_off():
        return reason
    if device not in _LIBRARIES:
        return f"device type {device}: native ops serve cpu and cuda"
    return _load(device)


def run(op: str, reason: str | None, args: tuple[Any, ...], overload: str = "default") -> None:
    """Run the native op, or for a `reason` its twin; `overload` of the native op."""
    _calls[op, reason] += 1
    if reason:
        from . import twins

        getattr(twins, op)(*args)
        return
    try:
        _native(op, overload)(*args)
    except RuntimeError as error:
        import torch

        # The stable ABI hands every C++ exception over as RuntimeError.
        first = str(error).partition("\n")[0]
        if f"{op}: " not in first or isinstance(error, torch.OutOfMemoryError):
            raise
        raise InvalidArgument(first[first.index(f"{op}: ") :]) from None


@functools.cache
def _native(op: str, overload: str) -> Callable[..., None]:
    """The op itself: looking it up by name at each call takes as long as a small kernel."""
    import torch

    return getattr(getattr(torch.ops.truetile, op), overload)


def decline(x: torch.Tensor, written: torch.Tensor) -> str | None:
    """Why the native op cannot serve this call; None when it can."""
    # Every call asks: a tensor's flags are quicker than making its device, and that one's name.
    if reason := why_twin("cuda" if x.is_cuda else x.device.type):
        return reason
    if written.is_cpu and not x.is_cpu and not written.is_pinned():
        return "out is pageable CPU memory: the native op writes to pinned memory only"
    return None


def _switched_off() -> str | None:
    return None if locate.enabled() else "switched off by TRUETILE_NATIVE=0"


class _UnavailableError(Exception):
    """Why a library does not serve; never leaves this module."""


@functools.cache
def _load(device: str) -> str | None:
    """Load the op library for a device type, once; the reason when that fails."""
    try:
        _load_or_raise(device)
    except _UnavailableError as error:
        return str(error)
    return None


def _load_or_raise(device: str) -> None:
    name = _LIBRARIES[device]
    if device != "cpu" and (reason := _load("cpu")):
        raise _UnavailableError(f"needs {_LIBRARIES['cpu']}: {reason}")
    try:
        import torch
    except ImportError as error:
        raise _UnavailableError(f"torch cannot be imported: {error}") from None
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < _OLDEST_TORCH:
        raise _UnavailableError(f"torch {torch.__version__}: the op libraries need 2.10 or newer")
    if device == "cuda" and torch.version.cuda is None:
        raise _UnavailableError(f"torch {torch.__version__} is built without CUDA")
    path = locate.library(name)
    if path is None:
        raise _UnavailableError(locate.reasons().get(name, f"{name} was not found"))
    # The pack may be imported under two names in one process, but an op is registered once.
    if _has_kernel("blend_tile", device.upper()):
        return
    try:
        torch.ops.load_library(str(path))
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise _UnavailableError(f"{path} cannot be loaded: {error}") from None
    library.truetile_ops_version.restype = ctypes.c_char_p
    version = library.truetile_ops_version().decode()
    if version != BUILD:
        raise _UnavailableError(locate.other_build(path, version))
    if device == "cuda":
        library.truetile_ops_unusable.restype = ctypes.c_char_p
        if why := library.truetile_ops_unusable():
            raise _UnavailableError(f"{path} cannot run here: {why.decode()}")
    else:
        _register_fakes()


def _has_kernel(op: str, key: str) -> bool:
    import torch

    with contextlib.suppress(RuntimeError):
        return torch._C._dispatch_has_kernel_for_dispatch_key(f"truetile::{op}", key)
    return False


def _register_fakes() -> None:
    """Nothing is returned, so that tracing needs no shapes: only to be told that."""
    import torch

    ops = ("blend_tile", "conv_few_outputs", "count_nonfinite", "group_affine", "group_moments")
    ops += ("merge", "merge_norm_pad", "norm_pad", "softmax_rows")
    ops += ("copy_boxes.one", "copy_boxes.two", "copy_boxes.three", "copy_boxes.four")
    for op in ops:
        torch.library.register_fake(f"truetile::{op}", lambda *args: None)
