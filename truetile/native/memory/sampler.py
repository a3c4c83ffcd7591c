"""The sampler on a Python thread: it needs the GIL for each sample, so its gaps are wider."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable

from ...errors import InvalidArgument
from .pace import Pace
from .phase import CHANNELS, Phase, PhaseStats, Sample, TorchMarks
from .types import Bytes

Read = Callable[[], dict[str, int]]
_MOST_SAMPLES = 1 << 24


class Sampler:
    """Reads its sources every `interval` seconds (0.001 to 60) into a ring of `capacity` samples.

    While nothing moves it reads every second interval (see `Pace`).
    uuid: the NVIDIA device to follow, "" for none. Here NVML is reached through `nvidia-ml-py`;
    nvml_reason(uuid) says why it is not. read: a further source for tests, gives bytes by channel.
    """

    def __init__(
        self,
        interval: float = 0.02,
        capacity: int = 65536,
        uuid: str = "",
        read: Read | None = None,
    ) -> None:
        if not 0.001 <= interval <= 60.0:
            raise InvalidArgument(f"interval={interval:g}: must be in [0.001, 60] seconds")
        if not 1 <= capacity <= _MOST_SAMPLES:
            raise InvalidArgument(f"capacity={capacity}: must be in [1, {_MOST_SAMPLES}]")
        self.interval = interval
        self._begin = time.monotonic()
        self.started_at = time.time()
        self._sources: list[Read] = [_resident_ram]
        nvml, _ = _nvml_reader(uuid)
        self._sources += [source for source in (nvml, read) if source is not None]
        self._ring: deque[Sample] = deque(maxlen=capacity)
        self._taken = 0
        self._pace = Pace()
        self._marks: TorchMarks | None = None
        self._open: dict[int, Phase] = {}
        self._next_id = 1
        self._cpu = 0.0
        self._state = threading.RLock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._loop, name="truetile-memory", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Waits for the thread to end; open phases stay open. Safe to call twice."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stopping.set()
            thread.join()

    @property
    def running(self) -> bool:
        return self._thread is not None

    def feed(self, marks: TorchMarks) -> None:
        """torch's counters; each later sample repeats the two current ones."""
        with self._state:
            self._marks = marks
            for phase in self._open.values():
                phase.marks(self.now(), marks)

    def event(self, channel: str, count: int) -> None:
        """A value told at the moment it happened."""
        index = _channel(channel)
        with self._state:
            for phase in self._open.values():
                phase.event(index, self.now(), count)

    def begin_phase(self, name: str) -> int:
        """Opens a phase and takes a sample at once; phases may overlap. Gives its id."""
        with self._state:
            identity, self._next_id = self._next_id, self._next_id + 1
            phase = self._open[identity] = Phase(identity, name, self.now())
            if self._marks is not None:
                phase.marks(self.now(), self._marks)
            self._pace.hurry()
            self._take()
        return identity

    def end_phase(self, id: int) -> PhaseStats:
        """Takes a sample and closes the phase. Raises InvalidArgument for one that is not open."""
        with self._state:
            phase = self._phase(id)
            self._take()
            phase.end(self.now())
            del self._open[id]
            return phase.stats()

    def peek_phase(self, id: int) -> PhaseStats:
        """A phase that is still open, so far. Raises InvalidArgument likewise."""
        with self._state:
            return self._phase(id).stats()

    def samples(self, after: float = -1.0) -> list[Sample]:
        """Samples in the ring that are newer than `after` seconds, oldest first."""
        with self._state:
            return [sample for sample in self._ring if sample.seconds > after]

    @property
    def taken(self) -> int:
        return self._taken

    @property
    def cpu_seconds(self) -> float:
        """Time on the processor that the sampler's thread has used."""
        return self._cpu

    def now(self) -> float:
        return time.monotonic() - self._begin

    def _phase(self, identity: int) -> Phase:
        if identity not in self._open:
            raise InvalidArgument(f"id={identity}: must be the id of a phase that is open")
        return self._open[identity]

    def _loop(self) -> None:
        before, due = self._cpu, time.monotonic()
        while not self._stopping.is_set():
            with self._state:
                self._take()
                self._cpu = before + time.thread_time()
            # A late thread goes on from now: catching up would read twice at once.
            due = max(due + self._pace.intervals() * self.interval, time.monotonic())
            self._stopping.wait(due - time.monotonic())

    def _take(self) -> None:
        values: dict[str, Bytes] = dict.fromkeys(CHANNELS)
        for read in self._sources:
            values.update(read())
        if self._marks is not None:
            values["torch_allocated"] = self._marks.allocated
            values["torch_reserved"] = self._marks.reserved
        sample = Sample(self.now(), tuple(values[channel] for channel in CHANNELS))
        self._ring.append(sample)
        self._taken += 1
        self._pace.add(sample)
        for phase in self._open.values():
            phase.add(sample)


def nvml_reason(uuid: str) -> str:
    """Why a sampler with this UUID has no driver readings; empty when it has."""
    return _nvml_reader(uuid)[1]


def _channel(name: str) -> int:
    if name not in CHANNELS:
        raise InvalidArgument(f"channel={name}: must be one of {', '.join(CHANNELS)}")
    return CHANNELS.index(name)


def _resident_ram() -> dict[str, int]:
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - 50 times a second
            return {"ram": int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")}
    except (OSError, AttributeError):
        return {}


def _nvml_reader(uuid: str) -> tuple[Read | None, str]:
    if not uuid:
        return None, "no NVIDIA device was named"
    try:
        import pynvml
    except ImportError:
        return None, "nvidia-ml-py is not installed"
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        version = pynvml.nvmlMemory_v2
        pynvml.nvmlDeviceGetMemoryInfo(handle, version=version)
    except (pynvml.NVMLError, AttributeError) as error:
        return None, f"NVML: {error}"
    own = os.getpid()

    def read() -> dict[str, int]:
        try:
            found = {"driver_used": pynvml.nvmlDeviceGetMemoryInfo(handle, version=version).used}
            processes = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
        except pynvml.NVMLError:
            return {}
        uses = {process.pid: process.usedGpuMemory for process in processes}
        if None not in uses.values():
            found["own_process"] = uses.pop(own, 0)
            found["other_processes"] = sum(uses.values())
        return found

    return read, ""
