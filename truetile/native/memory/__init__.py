"""Memory arithmetic in plain Python: what truetile.memory uses where the native core is missing.

The same names, attributes, results and words as the C++ core (csrc/core/memory), and the oracle of
its tests. Bytes are integers; None is "cannot be told", which is never written as 0.
"""

from .account import make_account, say_bytes
from .fragmentation import analyze
from .pins import find_pins
from .sampler import Sampler, nvml_reason
from .types import (
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
    Segment,
    Tooth,
    TorchMarks,
    Verdict,
)
from .verdict import judge

__all__ = [
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
