"""Who watches, and until when: a browser that went away stops renewing and is forgotten."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Leases:
    """Names with a time at which each runs out. Safe from any thread.

    seconds: how long a lease lasts after `renew`; clock: monotonic seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._clock = clock
        self._until: dict[str, float] = {}
        self._lock = threading.Lock()

    def renew(self, name: str) -> bool:
        """Begins or prolongs a lease; True when it was not running."""
        with self._lock:
            now = self._clock()
            fresh = self._until.get(name, now) <= now
            self._until[name] = now + self.seconds
            return fresh

    def end(self, name: str) -> None:
        """Ends a lease now; a name without one is no error: it may have run out."""
        with self._lock:
            self._until.pop(name, None)

    def names(self) -> list[str]:
        """Those whose lease runs; the others are forgotten."""
        with self._lock:
            now = self._clock()
            self._until = {name: until for name, until in self._until.items() if until > now}
            return list(self._until)
