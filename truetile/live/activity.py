"""What decodes and encodes now, by which plan and how far; and what the last ones reported."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from ..report import Report

REPORTS = 5  # kept


class Work:
    """One decode or encode while it runs. `plan` is asked each time: memory may change it."""

    def __init__(self, operation: str) -> None:
        self._operation = operation
        self._began = time.monotonic()
        self._plan: Callable[[], str] = lambda: ""
        self._why = ""
        self._done, self._total = 0, 0

    def planned(self, plan: Callable[[], str], why: str) -> None:
        self._plan, self._why = plan, why

    def progress(self, done: int, total: int) -> None:
        self._done, self._total = done, total

    def data(self) -> dict[str, Any]:
        """`share` is None until something is known of the work; `plan` is empty until chosen."""
        return {
            "operation": self._operation,
            "plan": self._plan(),
            "why": self._why,
            "share": self._done / self._total if self._total else None,
            "seconds": round(time.monotonic() - self._began, 1),
        }


class Activity:
    """The works of a process. Safe from any thread."""

    def __init__(self) -> None:
        self._running: list[Work] = []
        self._reports: deque[dict[str, Any]] = deque(maxlen=REPORTS)
        self._lock = threading.Lock()

    def begin(self, operation: str) -> Work:
        work = Work(operation)
        with self._lock:
            self._running.append(work)
        return work

    def end(self, work: Work, report: Report | None, failure: str = "") -> None:
        """Ends a work with its report, or with what went wrong."""
        with self._lock:
            self._running.remove(work)
            if report is not None:
                told = report.to_dict() | {"text": str(report), "failure": ""}
            else:
                now = work.data()
                told = {key: now[key] for key in ("operation", "plan", "why", "seconds")}
                told["failure"] = failure
                told["text"] = f"{now['operation']}: {now['plan']}\nfailed: {failure}"
            self._reports.append(told | {"at": time.time()})

    def data(self) -> dict[str, Any]:
        """The newest work that runs (or None), and the last reports, the newest first."""
        with self._lock:
            running = self._running[-1].data() if self._running else None
            return {"running": running, "reports": list(self._reports)[::-1]}
