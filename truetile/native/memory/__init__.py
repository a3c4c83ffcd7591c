"""Memory arithmetic in plain Python: what truetile.memory uses where the native core is missing.

The same names, attributes, results and words as the C++ core (csrc/core/memory), and the oracle of
its tests. Bytes are integers; None is "cannot be told", which is never written as 0.
"""

from .account import Account, make_account
from .fragmentation import Block, Fragmentation, PoolFree, Segment, Tooth, analyze
from .judge import judge
from .phase import CHANNELS, RANKS, ChannelStats, PhaseStats, Sample, TorchMarks
from .pins import Pin, find_pins
from .sampler import Sampler, nvml_reason
from .types import (
    NATIVE_TOLERANCE,
    POOL_TOLERANCE,
    Owner,
    Part,
    ProcessUse,
    Readings,
    say_bytes,
)
from .verdict import (
    SECOND_READING_SECONDS,
    Expectation,
    Holder,
    LevelResult,
    Levels,
    OffloadCase,
    Verdict,
)

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
