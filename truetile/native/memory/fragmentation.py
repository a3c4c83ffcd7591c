"""Arithmetic over a snapshot of torch's native allocator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import InvalidArgument
from .types import check_bytes


@dataclass(frozen=True)
class Block:
    """`state` is "live", "awaiting" (another stream) or "free"."""

    size: int
    requested: int
    state: str


@dataclass(frozen=True)
class Segment:
    """One stretch of device memory that torch's native allocator took from the driver."""

    address: int
    stream: int
    pool: str
    expandable: bool
    blocks: list[Block]


@dataclass(frozen=True)
class PoolFree:
    """Free memory that only one pool on one stream can use."""

    pool: str
    stream: int
    free: int
    largest: int
    fragmentation: float


@dataclass(frozen=True)
class Tooth:
    """A segment that a live block keeps from going back to the driver."""

    address: int
    free: int
    live: int


@dataclass(frozen=True)
class Fragmentation:
    """slack = limbo + stranded + releasable."""

    reserved: int
    allocated: int
    slack: int
    limbo: int
    stranded: int
    releasable: int
    rounding_loss: int
    pools: tuple[PoolFree, ...]
    comb: tuple[Tooth, ...]


def analyze(segments: Sequence[Segment]) -> Fragmentation:
    """Slack, limbo, stranded and releasable bytes, free memory by pool and stream, and the comb.

    Raises InvalidArgument for negative sizes.
    """
    sums = {"live": 0, "awaiting": 0, "free": 0}
    requested = stranded = releasable = 0
    comb: list[Tooth] = []
    pools: dict[tuple[str, int], tuple[int, int]] = {}
    for segment in segments:
        here = {"live": 0, "awaiting": 0, "free": 0}
        largest = 0
        for block in segment.blocks:
            check_bytes("size", block.size)
            if not 0 <= block.requested <= block.size:
                raise InvalidArgument(
                    f"requested={block.requested}: must be in [0, {block.size}] (size={block.size})"
                )
            here[block.state] += block.size
            if block.state == "live":
                requested += block.requested
            elif block.state == "free":
                largest = max(largest, block.size)
        for state, size in here.items():
            sums[state] += size
        # An expandable segment gives back the pages of any free block, live neighbours or not.
        kept = not segment.expandable and (here["live"] > 0 or here["awaiting"] > 0)
        if kept:
            stranded += here["free"]
            if here["free"] > 0:
                comb.append(Tooth(segment.address, here["free"], here["live"]))
        else:
            releasable += here["free"]
        free, most = pools.get((segment.pool, segment.stream), (0, 0))
        pools[segment.pool, segment.stream] = (free + here["free"], max(most, largest))
    # Most free bytes for the fewest live ones first.
    comb.sort(key=lambda tooth: (-_gain(tooth), tooth.address))
    reserved = sum(sums.values())
    return Fragmentation(
        reserved=reserved,
        allocated=sums["live"],
        slack=reserved - sums["live"],
        limbo=sums["awaiting"],
        stranded=stranded,
        releasable=releasable,
        rounding_loss=sums["live"] - requested,
        pools=tuple(
            PoolFree(pool, stream, free, most, 1.0 - most / free if free else 0.0)
            for (pool, stream), (free, most) in sorted(pools.items())
        ),
        comb=tuple(comb),
    )


def _gain(tooth: Tooth) -> float:
    return tooth.free / tooth.live if tooth.live else float("inf")
