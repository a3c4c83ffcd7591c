"""Runs a command and samples the device and the command's processes until it ends."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidArgument
from ..native.memory import CHANNELS, PhaseStats, Sample, Sampler
from . import driver, process_tree

CAPACITY = 500_000  # samples kept: more than two hours at 50 a second
_SHOWN = 20_000  # samples in the JSON and in the page
_PATIENCE = 10.0  # seconds between SIGTERM and SIGKILL


@dataclass(frozen=True)
class Recording:
    """A command's run. `reasons`: by channel, why it has no figures."""

    command: list[str]
    exit_code: int
    started_at: float
    interval: float
    total: int | None
    samples: list[Sample]
    phase: PhaseStats
    reasons: dict[str, str]

    def channels(self) -> dict[str, dict[str, Any]]:
        """Peak, mean and minimum of each channel that has figures."""
        found = zip(CHANNELS, self.phase.channels, strict=True)
        return {
            name: {"peak": c.peak, "mean": c.mean, "minimum": c.minimum, "at": c.peak_seconds}
            for name, c in found
            if c.peak is not None
        }

    def to_json(self) -> str:
        step = max(1, -(-len(self.samples) // _SHOWN))
        data = {
            "version": 1,
            "command": self.command,
            "exit_code": self.exit_code,
            "started_at": self.started_at,
            "seconds": self.phase.end - self.phase.begin,
            "interval": self.interval,
            "widest_gap": self.phase.widest_gap,
            "taken": self.phase.samples,
            "device_total": self.total,
            "summary": self.channels(),
            "unavailable": self.reasons,
            "channels": list(CHANNELS),
            "samples": [[round(s.seconds, 4), *s.values] for s in self.samples[::step]],
        }
        return json.dumps(data, indent=1)

    def to_csv(self) -> str:
        """One line for each sample; an empty cell is a reading that could not be had."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["seconds", *CHANNELS])
        for sample in self.samples:
            cells = ["" if value is None else value for value in sample.values]
            writer.writerow([f"{sample.seconds:.4f}", *cells])
        return text.getvalue()


def record(command: list[str], interval: float) -> Recording:
    """Runs `command` to its end; what ends us ends it too, and what was sampled is kept.

    Raises InvalidArgument when there is no such program.
    """
    with _running(command) as process:
        read, total, reasons = _reader(process.pid)
        sampler = Sampler(interval, CAPACITY, read=read)
        phase = sampler.begin_phase(shlex.join(command))
        sampler.start()
        try:
            code = process.wait()
        except KeyboardInterrupt:
            code = _end(process, signal.SIGINT)  # a terminal has sent it to the command as well
        except SystemExit as end:
            _end(process, signal.SIGTERM)
            code = end.code if isinstance(end.code, int) else 1
        finally:
            sampler.stop()
        stats = sampler.end_phase(phase)
    if code < 0:
        code = 128 - code  # as a shell tells of a signal
    return Recording(
        command, code, sampler.started_at, interval, total, sampler.samples(), stats, reasons
    )


@contextlib.contextmanager
def _running(command: list[str]) -> Iterator[subprocess.Popen]:
    try:
        process = subprocess.Popen(command)
    except (FileNotFoundError, PermissionError) as error:
        raise InvalidArgument(f"CMD={command[0]}: cannot be run ({error.strerror})") from None
    try:
        yield process
    finally:
        _end(process, signal.SIGTERM)


def _end(process: subprocess.Popen, how: int) -> int:
    """Sees to it that the process ends; gives its exit code."""
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(_PATIENCE)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            process.kill()
            process.wait()
    return process.returncode


def _reader(root: int) -> tuple[Callable[[], dict], int | None, dict[str, str]]:
    """What one sample reads, the device's size, and why channels are missing."""
    torch = "only the process itself knows it: MemoryCheckpoint, MemoryReport"
    reasons = {"torch_allocated": torch, "torch_reserved": torch}
    try:
        nvml, handle = driver.first_device()
        total = driver.total_bytes(nvml, handle)
    except driver.NoDriver as error:
        reasons |= dict.fromkeys(("driver_used", "own_process", "other_processes"), str(error))
        return lambda: _main_memory(root), None, reasons

    def read() -> dict:
        found = _main_memory(root)
        if found["ram"] is None:
            return found  # it has ended: what is read now is not of its run
        pids = set(process_tree.members(root) or [root])
        with contextlib.suppress(nvml.NVMLError):
            found["driver_used"] = driver.used_bytes(nvml, handle)
        uses = driver.processes(nvml, handle)
        if uses is not None and all(use.bytes is not None for use in uses):
            mine = sum(use.bytes for use in uses if use.pid in pids)
            found["own_process"] = mine
            found["other_processes"] = sum(use.bytes for use in uses) - mine
        return found

    if os.name == "nt":
        why = "Windows (WDDM) does not tell the memory of a process"
        reasons |= dict.fromkeys(("own_process", "other_processes"), why)
    return read, total, reasons


def _main_memory(root: int) -> dict[str, int | None]:
    """Always names the channel: without it the sampler would give its own process's figure."""
    return {"ram": process_tree.resident(process_tree.members(root) or [root])}
