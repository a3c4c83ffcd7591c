"""The arithmetic of memory: the C++ core where it is found, else its Python twin.

BACKEND says which. Names and meaning: truetile/native/memory.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

from .. import errors
from ..native import locate

__all__ = [
    "BACKEND",
    "CHANNELS",
    "NATIVE_TOLERANCE",
    "POOL_TOLERANCE",
    "RANKS",
    "SECOND_READING_SECONDS",
    "Account",
    "Block",
    "ChannelStats",
    "Expectation",
    "Fragmentation",
    "Holder",
    "LevelResult",
    "Levels",
    "OffloadCase",
    "Owner",
    "Part",
    "PhaseStats",
    "Pin",
    "PoolFree",
    "ProcessUse",
    "Readings",
    "Sample",
    "Sampler",
    "Segment",
    "Tooth",
    "TorchMarks",
    "Verdict",
    "analyze",
    "find_pins",
    "judge",
    "make_account",
    "nvml_reason",
    "say_bytes",
]

_NAMES = [name for name in __all__ if name != "BACKEND"]


def _usable(core: ModuleType | None) -> ModuleType | None:
    """The core's submodule; None when it lacks a name (a stale build)."""
    if core is None:
        return None
    memory = getattr(core, "memory", None)
    missing = [name for name in _NAMES if not hasattr(memory, name)]
    if missing:
        locate.refuse(locate.CORE, f"{core.__file__} lacks {', '.join(missing)}: build it again")
        return None
    # truetile.plan gives the core our exceptions; this may be imported alone.
    if core.InvalidArgument is ValueError:
        core.InvalidArgument = errors.InvalidArgument
    return memory


_core = _usable(locate.core())
BACKEND = "python" if _core is None else "native"

if TYPE_CHECKING or _core is None:
    from ..native.memory import (
        CHANNELS,
        NATIVE_TOLERANCE,
        POOL_TOLERANCE,
        RANKS,
        SECOND_READING_SECONDS,
        Account,
        Block,
        ChannelStats,
        Expectation,
        Fragmentation,
        Holder,
        LevelResult,
        Levels,
        OffloadCase,
        Owner,
        Part,
        PhaseStats,
        Pin,
        PoolFree,
        ProcessUse,
        Readings,
        Sample,
        Sampler,
        Segment,
        Tooth,
        TorchMarks,
        Verdict,
        analyze,
        find_pins,
        judge,
        make_account,
        nvml_reason,
        say_bytes,
    )
else:
    globals().update({name: getattr(_core, name) for name in _NAMES})
