"""Sends what changes to those who watch, on a thread that lives only as long as somebody does."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from ..memory.monitor import Monitor, watched
from .account_view import account_view
from .activity import Activity
from .leases import Leases
from .timeline import TimelineView

LEASE_SECONDS = 15.0
INTERVAL = 0.5
log = logging.getLogger("truetile")


class Feed:
    """One for a process.

    send: called with (client, message) on the feed's thread; False says that the client is gone.
    A message holds only what changed: any of account, rows, phases and verdicts, activity.
    """

    def __init__(
        self,
        send: Callable[[str, dict[str, Any]], bool],
        activity: Activity,
        leases: Leases | None = None,
        interval: float = INTERVAL,
    ) -> None:
        self._send = send
        self._activity = activity
        self.leases = Leases(LEASE_SECONDS) if leases is None else leases
        self._interval = interval
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        with self._lock:
            return self._thread is not None

    def open(self, client: str) -> dict[str, Any]:
        """Begins or renews a client's lease; gives everything that there is to be shown."""
        with watched() as monitor:
            self.renew(client)
            return {
                "lease_seconds": self.leases.seconds,
                "now": monitor.sampler.now(),
                "account": account_view(monitor.device),
                "activity": self._activity.data(),
                **TimelineView(monitor).everything(),
            }

    def renew(self, client: str) -> bool:
        """Prolongs a lease; True when it had run out, so that the client has missed something."""
        with self._lock:
            fresh = self.leases.renew(client)
            if self._thread is None:
                self._wake.clear()
                self._thread = threading.Thread(target=self._run, name="truetile-feed", daemon=True)
                self._thread.start()
            return fresh

    def close(self, client: str) -> None:
        self.leases.end(client)
        if not self.leases.names():
            self._wake.set()

    def _run(self) -> None:
        with watched() as monitor:
            changes = _Changes(monitor, self._activity)
            while not self._over():
                message = changes.take()
                for client in self.leases.names():
                    if message and not self._send(client, message):
                        self.leases.end(client)
                self._wake.wait(self._interval)

    def _over(self) -> bool:
        with self._lock:
            if self.leases.names():
                self._wake.clear()
                return False
            self._thread = None
            return True


class _Changes:
    """Compares with what was sent last."""

    def __init__(self, monitor: Monitor, activity: Activity) -> None:
        self._monitor = monitor
        self._activity = activity
        self._timeline = TimelineView(monitor)
        self._last: dict[str, Any] = {}

    def take(self) -> dict[str, Any]:
        self._monitor.feed()
        told = {"activity": self._activity.data(), **self._timeline.happened()}
        try:
            told["account"] = account_view(self._monitor.device)
        except Exception:
            # Models come and go on another thread while they are counted; the next look will do.
            log.debug("TrueTile's panel goes without an account this time", exc_info=True)
        message = {key: value for key, value in told.items() if self._last.get(key) != value}
        self._last |= message
        if rows := self._timeline.news():
            message["rows"] = rows
        if message:
            message["now"] = self._monitor.sampler.now()
        return message
