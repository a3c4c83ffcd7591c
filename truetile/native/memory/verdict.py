"""What an offload's verdict is made of, and the verdict itself; `judge` makes one of the other."""

from __future__ import annotations

from dataclasses import dataclass

from .types import NATIVE_TOLERANCE, Bytes, Owner, Part

SECOND_READING_SECONDS = 2.0


@dataclass(frozen=True)
class Expectation:
    """What one owner held, was to hold, and holds now."""

    owner: str
    before: int
    target: int
    after: int
    in_torch: bool = True


@dataclass(frozen=True)
class Levels:
    """One reading at the levels below the owners."""

    torch_allocated: Bytes = None
    torch_reserved: Bytes = None
    driver_used: Bytes = None
    foreign: Bytes = None
    stranded: Bytes = None


@dataclass(frozen=True)
class OffloadCase:
    """All that a verdict needs."""

    owners: list[Expectation]
    before: Levels
    after: Levels
    tolerance: int = NATIVE_TOLERANCE
    requested: Bytes = None
    allowed_allocated: Bytes = None
    suspects: list[Owner] | tuple[Owner, ...] = ()
    stays: Bytes = None
    may_stay: Bytes = None
    free: Bytes = None
    must_be_free: Bytes = None
    present: list[Part] | tuple[Part, ...] = ()
    nothing_to_prove: bool = False


@dataclass(frozen=True)
class LevelResult:
    """`outcome` is "ok", "short" or "not available"."""

    name: str
    expected: int
    freed: Bytes
    outcome: str


@dataclass(frozen=True)
class Holder:
    """Who keeps bytes that were to be free."""

    name: str
    bytes: int
    why: str


@dataclass(frozen=True)
class Verdict:
    """`outcome` is "pass", "partial" or "fail"."""

    outcome: str
    levels: tuple[LevelResult, ...]
    holders: tuple[Holder, ...]
    foreign_drift: Bytes
    notes: tuple[str, ...]
