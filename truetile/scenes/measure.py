"""The memory of one scene: the server's own sampler where it has TrueTile, else /system_stats.

The server samples the driver 50 times a second; polling sees what a few answers a second tell, and
says so.
"""

from __future__ import annotations

import contextlib
import threading
import time
from itertools import pairwise
from typing import Any

from ..watch.client import Client, Refused, ServerSilent
from ..watch.reading import Reading, from_system_stats

PHASE = "/truetile/memory/phase"


class Measure:
    """Follows the first device of a server between `start` and `stop`."""

    def __init__(self, client: Client, name: str, interval: float) -> None:
        self._client, self._name, self._interval = client, name, interval
        self._phase: int | None = None
        self._readings: list[tuple[float, Reading]] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)

    def start(self) -> None:
        with contextlib.suppress(Refused, ServerSilent, KeyError, TypeError):
            self._phase = self._client.post(PHASE, {"begin": self._name})["id"]
        self._thread.start()

    def stop(self) -> dict[str, Any]:
        """Bytes: free_min, free_mean, free_peak, total, process_peak; None is unknown."""
        self._stopping.set()
        self._thread.join()
        phase = None
        if self._phase is not None:
            with contextlib.suppress(Refused, ServerSilent):
                phase = self._client.post(PHASE, {"end": self._phase})
        data = self._polled()
        if phase is not None:
            _put(data, phase)
        return data

    def _poll(self) -> None:
        while True:
            with contextlib.suppress(Refused, ServerSilent):
                readings = from_system_stats(self._client.get("/system_stats"), "ComfyUI")
                if readings:
                    self._readings.append((time.monotonic(), readings[0]))
            if self._stopping.wait(self._interval):
                return

    def _polled(self) -> dict[str, Any]:
        known = [(at, r) for at, r in self._readings if r.free is not None]
        free = [reading.free for _, reading in known]
        times = [at for at, _ in known]
        gaps = [after - before for before, after in pairwise(times)]
        return {
            "device": known[0][1].device if known else None,
            "total": known[0][1].total if known else None,
            "free_min": min(free, default=None),
            "free_mean": round(sum(free) / len(free)) if free else None,
            "free_peak": max(free, default=None),
            "process_peak": None,
            "source": "/system_stats" if known else "no reading",
            "readings": len(known),
            "widest_gap": max(gaps, default=None),
        }


def _put(data: dict[str, Any], phase: dict[str, Any]) -> None:
    """The phase's figures over the polled ones: closer readings, of the driver itself."""
    channels = phase["channels"]
    used, total = channels["driver_used"], phase["total"]
    own = channels["own_process"]["peak"] or channels["ram"]["peak"]
    data |= {"process_peak": own, "device": phase["device"]}
    if used["peak"] is None or total is None:
        return  # without a driver (main memory) only the polls know what is free
    data |= {
        "total": total,
        "free_min": total - used["peak"],
        "free_mean": total - round(used["mean"]),
        "free_peak": total - used["minimum"],
        "source": f"driver, {used['rank']}",
        "readings": phase["samples"],
        "widest_gap": phase["widest_gap"],
    }
