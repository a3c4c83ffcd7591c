"""One decode or encode as the editor sees it: progress, plan for the panel, picture on the node."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..truetile.engine.partial import PartialPicture
from ..truetile.live import Activity, Work
from ..truetile.report import Report
from . import host

if TYPE_CHECKING:
    from ..truetile.engine.output import HostBatch

# At most so many seconds between two pictures, and at most this share of the time spent on them.
_PICTURE_SECONDS = 0.4
_PICTURE_SHARE = 0.03

activity = Activity()


class NodeObserver:
    """truetile.observer.Observer for the node that runs now; `progress` is for truetile.decode."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._bar = host.progress_bar()
        self._picture: PartialPicture | None = None
        self._due = 0.0
        self._total = 1
        self.report: Report | None = None

    def begun(self, plan: Callable[[], str], why: str, picture: HostBatch | None) -> None:
        self._work.planned(plan, why)
        size = host.preview_size()
        if picture is not None and size is not None:
            self._picture = PartialPicture(picture, size)

    def progress(self, done: int, total: int) -> None:
        self._total = max(1, total)
        self._work.progress(done, self._total)
        host.move_bar(self._bar, done, self._total, self._preview())

    def finished(self, report: Report) -> None:
        """The call has returned: what the node shows from now on is the whole picture."""
        self.report = report
        seen = self._picture.last() if self._picture is not None else None
        if seen is not None:
            host.move_bar(self._bar, self._total, self._total, host.preview_of(seen))

    def _preview(self) -> object | None:
        began = time.monotonic()
        if self._picture is None or began < self._due:
            return None
        seen = self._picture.look()
        if seen is None:
            return None
        shown = host.preview_of(seen)
        ended = time.monotonic()
        self._due = ended + max(_PICTURE_SECONDS, (ended - began) / _PICTURE_SHARE)
        return shown


@contextmanager
def watched_work(operation: str) -> Iterator[NodeObserver]:
    """What runs inside is on the panel; call `finished` on what this gives before it ends."""
    work = activity.begin(operation)
    observer = NodeObserver(work)
    failure = ""
    try:
        yield observer
    except BaseException as error:
        failure = str(error) or "stopped"  # ComfyUI's interruption has no text
        raise
    finally:
        activity.end(work, observer.report, failure)
