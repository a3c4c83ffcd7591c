"""ComfyUI's own headroom, raised for a phase and put back on every path.

legacy: EXTRA_RESERVED_VRAM, which every load subtracts from what is free. dynamic: the headroom of
the page allocator, which evicts weights until that much is free. What was changed is put back by
the next checkpoint, at the end of the prompt however it ends, and at exit.
"""

from __future__ import annotations

import atexit
import ctypes
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..truetile.memory import allocator

log = logging.getLogger("truetile")
# More than any card has. ComfyUI's own 1e30 does not fit the 64-bit count of its page allocator.
EVERYTHING = 1 << 50
_POLL_SECONDS = 0.5
_lock = threading.RLock()
_undo: list[Callable[[], object]] = []  # of the phase that is open now


@contextmanager
def kept_free(count: int) -> Iterator[list[str]]:
    """Raises the headroom to `count` bytes; gives what was changed, in words."""
    undo, words = _raise(count)
    try:
        yield words
    finally:
        _run(undo)


def keep_free_for_phase(count: int, prompt_id: str | None) -> list[str]:
    """Raises the headroom until `end_phase`, or until the prompt has ended. Gives words."""
    end_phase()
    undo, words = _raise(count)
    _until_phase_ends(undo, prompt_id)
    return words


def reserve_for_phase(count: int, prompt_id: str | None) -> list[str]:
    """Makes TrueTile's plans keep `count` bytes free, for as long as `keep_free_for_phase`."""
    before = allocator.set_reserve(count)
    _until_phase_ends([lambda: allocator.set_reserve(before)], prompt_id)
    return [f"TrueTile's plans keep {_gib(count)} free in this phase"]


def _until_phase_ends(undo: list[Callable[[], object]], prompt_id: str | None) -> None:
    with _lock:
        _undo.extend(undo)
    if undo and prompt_id is not None:
        watch = threading.Thread(
            target=_watch, args=(prompt_id,), name="truetile-headroom", daemon=True
        )
        watch.start()


def end_phase() -> None:
    """Puts back what `keep_free_for_phase` changed; safe to call at any time."""
    with _lock:
        undo = _undo[:]
        _undo.clear()
    _run(undo)


def lift_page_limits() -> None:
    """Lets all pages go: a model's limit is otherwise lifted only after the node that runs now."""
    try:
        from comfy_aimdo import model_vbar
    except ImportError:
        return
    lift = getattr(model_vbar, "vbars_reset_watermark_limits", None)
    if lift is not None and getattr(model_vbar, "lib", None) is not None:
        lift()


def dynamic() -> bool:
    """Whether ComfyUI's page allocator manages weights."""
    try:
        from comfy import memory_management
    except ImportError:
        return False
    return bool(getattr(memory_management, "aimdo_enabled", False))


def _raise(count: int) -> tuple[list[Callable[[], object]], list[str]]:
    undo: list[Callable[[], object]] = []
    words: list[str] = []
    from comfy import model_management as mm

    before = getattr(mm, "EXTRA_RESERVED_VRAM", None)
    if before is not None and before < count:
        mm.EXTRA_RESERVED_VRAM = count
        words.append(f"ComfyUI's reserve: {_gib(before)} -> {_gib(count)}")

        def put_back() -> None:
            # Somebody else's later change is theirs.
            if count == mm.EXTRA_RESERVED_VRAM:
                mm.EXTRA_RESERVED_VRAM = before

        undo.append(put_back)
    cell = _page_headroom()
    if cell is not None and cell.value < count:
        old = cell.value
        cell.value = count
        words.append(f"dynamic VRAM's headroom: {_gib(old)} -> {_gib(count)}")

        def put_pages_back() -> None:
            if cell.value == count:
                cell.value = old

        undo.append(put_pages_back)
    return undo, words


def _page_headroom() -> Any:
    """The page allocator's headroom as a variable that can be read, hence put back; or None."""
    try:
        from comfy import memory_management
        from comfy_aimdo import control
    except ImportError:
        return None
    library = getattr(control, "lib", None)
    if library is None or not getattr(memory_management, "aimdo_enabled", False):
        return None
    try:
        return ctypes.c_int64.in_dll(library, "simple_vram_headroom")
    except ValueError:
        # Without its old value it could not be put back: then it is left alone.
        return None


def _watch(prompt_id: str) -> None:
    while _undo and _runs(prompt_id):
        time.sleep(_POLL_SECONDS)
    end_phase()


def _runs(prompt_id: str) -> bool:
    from server import PromptServer

    queue = getattr(PromptServer.instance, "prompt_queue", None)
    running = getattr(queue, "currently_running", None)
    if running is None:
        return False
    return any(item[1] == prompt_id for item in list(running.values()))


def _run(undo: list[Callable[[], object]]) -> None:
    for step in reversed(undo):
        try:
            step()
        except Exception:
            log.exception("TrueTile could not put a memory setting back")


def _gib(count: float) -> str:
    return f"{count / 2**30:.2f} GiB"


atexit.register(end_phase)
