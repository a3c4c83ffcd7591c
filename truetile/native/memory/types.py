"""The values that go in and out, field by field as in csrc/core/memory/*.hpp."""

from __future__ import annotations

from dataclasses import dataclass

Bytes = int | None

MIB = 2**20
GIB = 2**30
NATIVE_TOLERANCE = 2 * MIB  # a segment of torch's native allocator
POOL_TOLERANCE = 32 * MIB  # a step of cudaMallocAsync's pool, a page of dynamic VRAM
SECOND_READING_SECONDS = 2.0
CHANNELS = (
    "driver_used",
    "own_process",
    "other_processes",
    "torch_allocated",
    "torch_reserved",
    "ram",
)
RANKS = ("none", "sample", "high-water mark", "event")  # where a peak comes from, worst first


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


@dataclass(frozen=True)
class Account:
    """Who holds a device's memory; the parts sum to `used` exactly."""

    parts: tuple[Part, ...]
    total: Bytes
    used: Bytes
    unknown: Bytes
    foreign: Bytes
    notes: tuple[str, ...]


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
class Pin:
    """A segment whose free memory other blocks keep from the driver.

    awaiting: bytes that another stream may still use, which nobody can move. unknown: live bytes in
    blocks where none of the storages begins. storages: indices of those that do, ascending.
    """

    address: int
    size: int
    free: int
    live: int
    awaiting: int
    unknown: int
    storages: tuple[int, ...]


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


@dataclass(frozen=True)
class Sample:
    """`values` by CHANNELS; seconds since the sampler was made."""

    seconds: float
    values: tuple[Bytes, ...]


@dataclass(frozen=True)
class TorchMarks:
    """torch's counters and its high-water marks."""

    allocated: int
    reserved: int
    allocated_peak: int
    reserved_peak: int


@dataclass(frozen=True)
class ChannelStats:
    """`rank` (one of RANKS) says where the peak comes from."""

    peak: Bytes
    minimum: Bytes
    mean: Bytes
    peak_seconds: float
    rank: str
    readings: int


@dataclass(frozen=True)
class PhaseStats:
    """`channels` by CHANNELS; `resets`: how often torch's high-water mark fell."""

    id: int
    name: str
    begin: float
    end: float
    ended: bool
    samples: int
    widest_gap: float
    resets: int
    channels: tuple[ChannelStats, ...]
