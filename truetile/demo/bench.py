"""Runs every method on every subject, each in its own process, and measures the results."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .. import errors
from ..commands import CommandFailed
from .job import Job, enter
from .metrics import Seam, absolute_error, psnr, seam

# Freed blocks of glibc's heap stay resident; with this every tensor is a mapping of its own that
# goes back to the system at once, so that a peak is that of live tensors.
MALLOC_ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "131072"}

LABELS = {
    "untiled": "untiled",
    "classic": "classic tiles",
    "classic whole": "classic tiles, whole clip",
    "truetile": "TrueTile",
}


@dataclass
class Subject:
    """What goes through the VAE: frames [T, H, W, 3] in [0, 1], and by which methods."""

    name: str
    title: str
    frames: np.ndarray
    methods: tuple[str, ...]
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    def label(self, method: str) -> str:
        """The method's name for people; of a clip it says whether time was cut as well."""
        cut = method == "classic" and len(self.frames) > 1
        return LABELS[method] + (", cut in time" if cut else "")


@dataclass
class Outcome:
    """What one method made of a subject, and how it compares with the untiled result."""

    numbers: dict[str, Any]
    frames: np.ndarray
    error: np.ndarray  # [T, H, W], mean absolute over the channels
    psnr: float
    psnr_original: float
    largest_error: float  # of any channel of any pixel, in [0, 1]
    seam: Seam | None

    @property
    def seconds(self) -> float:
        return self.numbers["encode_seconds"] + self.numbers["decode_seconds"]

    def to_dict(self) -> dict[str, Any]:
        """The numbers for JSON, without the pictures; infinity and NaN as None."""
        borders = self.numbers["borders"]
        return self.numbers | {
            "borders": {"t": borders.t, "y": borders.y, "x": borders.x},
            "psnr_untiled_db": _finite(self.psnr),
            "psnr_original_db": _finite(self.psnr_original),
            "largest_error_of_255": self.largest_error * 255,
            "seam": None
            if self.seam is None
            else {
                "near": self.seam.near,
                "elsewhere": self.seam.elsewhere,
                "ratio": _finite(self.seam.ratio),
            },
        }


def compare(subject: Subject, numbers: dict[str, Any], frames: np.ndarray) -> Outcome:
    """Measures `frames` against the untiled result of the subject (itself, if it is the first)."""
    untiled = subject.outcomes.get("untiled")
    reference = frames if untiled is None else untiled.frames
    error = absolute_error(frames, reference)
    return Outcome(
        numbers,
        frames,
        error,
        psnr(frames, reference),
        psnr(frames, subject.frames),
        float(np.abs(frames - reference).max()),
        seam(error, numbers["borders"]),
    )


@contextmanager
def processes() -> Iterator[Any]:
    """A multiprocessing context whose children have imported torch already, where that exists."""
    methods = multiprocessing.get_all_start_methods()
    kind = "forkserver" if "forkserver" in methods else "spawn"
    context = multiprocessing.get_context(kind)
    if kind == "forkserver":
        context.set_forkserver_preload([f"{__package__}.worker"])
    before = {name: os.environ.get(name) for name in MALLOC_ENVIRONMENT}
    os.environ.update(MALLOC_ENVIRONMENT)
    try:
        yield context
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def run_job(context: Any, job: Job, progress: Callable[[float], None]) -> dict[str, Any]:
    """Runs a job in a child process and returns its numbers.

    Raises:
        BudgetError, InvalidArgument: as the child raised them.
        CommandFailed: the child failed in another way, or was killed.
    """
    receiving, sending = context.Pipe(duplex=False)
    child = context.Process(target=enter, args=(job, sending), daemon=True)
    child.start()
    sending.close()
    answered = False
    try:
        while True:
            kind, *content = receiving.recv()
            answered = kind != "progress"
            if kind == "done":
                return content[0]
            if kind == "failed":
                raise _failure(job, *content)
            progress(content[0])
    except EOFError:
        child.join()
        raise CommandFailed(f"{job.method}: {_death(child.exitcode)}") from None
    finally:
        # After its answer a child only ends; without one it must not work on.
        if not answered:
            child.terminate()
        child.join()
        receiving.close()


def _failure(job: Job, kind: str, text: str) -> Exception:
    if kind == "memory":
        return CommandFailed(f"{LABELS[job.method]}: out of memory; use a smaller picture")
    if kind == "bug":
        return RuntimeError(f"{LABELS[job.method]} failed in its process:\n{text}")
    return getattr(errors, kind)(text)


def _death(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        why = ", most likely for lack of memory" if name == "SIGKILL" else ""
        return f"its process was killed by {name}{why}"
    return f"its process ended with code {code} and no result"


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def result_path(folder: Path, subject: Subject, method: str) -> Path:
    """Where a worker leaves the frames of a method."""
    return folder / f"{subject.name}_{method.replace(' ', '_')}.npy"
