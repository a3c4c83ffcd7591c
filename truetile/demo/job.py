"""What the demo's processes say to each other."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path


@dataclass(frozen=True)
class Job:
    """One method on one subject.

    subject: a .npy of [T, H, W, 3] float32 in [0, 1]. result: the .npy that is written. budget:
    bytes above what the process holds before.
    """

    method: str
    subject: Path
    result: Path
    vae: Path
    budget: int
    threads: int
    device: str


def enter(job: Job, connection: Connection) -> None:
    """Entry of a child process; torch is imported only here, the parent does without it."""
    # Ctrl-C reaches the whole group; the parent ends its children itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from . import worker

    worker.main(job, connection)
