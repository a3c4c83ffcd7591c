"""The arithmetic of memory: the C++ core where it is found, else its Python twin.

BACKEND says which. Names and meaning: truetile/native/memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
_core = locate.complete(locate.core(), _NAMES, part="memory")
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
