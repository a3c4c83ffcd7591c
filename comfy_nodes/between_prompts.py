"""Work for ComfyUI's prompt thread, done between two prompts.

ComfyUI asks its queue for flags on that thread after each prompt and whenever it is woken; what
waits here is done then. So no prompt can begin while it runs, and the web server goes on answering.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

_FLAG = "truetile"  # unknown to ComfyUI: it only wakes the thread
_waiting: deque[tuple[Future, Callable[[], Any]]] = deque()
_installing = threading.Lock()


def submit(queue: Any, work: Callable[[], Any]) -> Future:
    """Has the thread of `queue` (PromptServer's) call `work` before its next prompt.

    The future gets what `work` returns or raises; cancelled in time, nothing is done.
    """
    _install(queue)
    future: Future = Future()
    _waiting.append((future, work))
    queue.set_flag(_FLAG, True)
    return future


def busy(queue: Any) -> bool:
    """Whether a prompt runs or waits."""
    return queue.get_tasks_remaining() > 0


def _install(queue: Any) -> None:
    with _installing:
        if getattr(queue.get_flags, "truetile", False):
            return
        original = queue.get_flags

        def get_flags(*args: Any, **options: Any) -> Any:
            _work()
            return original(*args, **options)

        get_flags.truetile = True
        queue.get_flags = get_flags


def _work() -> None:
    while _waiting:
        future, work = _waiting.popleft()
        if not future.set_running_or_notify_cancel():
            continue
        try:
            future.set_result(work())
        except BaseException as error:  # it belongs to who asked, not to the prompt thread
            future.set_exception(error)
