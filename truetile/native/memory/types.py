"""What all of the memory arithmetic speaks of; twin of csrc/core/memory/types.hpp."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import InvalidArgument

Bytes = int | None

MIB = 2**20
GIB = 2**30
NATIVE_TOLERANCE = 2 * MIB  # a segment of torch's native allocator
POOL_TOLERANCE = 32 * MIB  # a step of cudaMallocAsync's pool, a page of dynamic VRAM
_MOST = 1 << 60  # bytes; a count beyond it is a mistake


@dataclass(frozen=True)
class Owner:
    """Somebody in this process who holds memory; `in_torch` is False for dynamic pages."""

    name: str
    kind: str
    bytes: int
    in_torch: bool = True
    detail: str = ""


@dataclass(frozen=True)
class ProcessUse:
    """Another process on the same device."""

    pid: int
    name: str
    bytes: Bytes


@dataclass(frozen=True)
class Readings:
    """What driver, torch and NVML say at one moment about one device."""

    driver_total: Bytes = None
    driver_used: Bytes = None
    torch_allocated: Bytes = None
    torch_reserved: Bytes = None
    own_process: Bytes = None
    others: list[ProcessUse] | None = None


@dataclass(frozen=True)
class Part:
    """One line of an account."""

    name: str
    kind: str
    bytes: int
    detail: str = ""


def say_bytes(count: Bytes) -> str:
    """`1.50 GiB`, `12.0 MiB`, `unknown`; keeps the sign."""
    if count is None:
        return "unknown"
    if abs(count) >= GIB:
        return f"{count / GIB:.2f} GiB"
    return f"{count / MIB:.1f} MiB"


def check_bytes(name: str, value: Bytes) -> None:
    """Raises InvalidArgument where a count is negative or beyond all memory."""
    if value is not None and not 0 <= value <= _MOST:
        raise InvalidArgument(f"{name}={value}: must be in [0, {_MOST}]")
