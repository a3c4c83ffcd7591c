"""The processes that a command has started, and what they hold in main memory."""

from __future__ import annotations

import os
from pathlib import Path


def members(root: int) -> list[int] | None:
    """`root` and all its descendants that run now; None where this system does not tell."""
    try:
        import psutil
    except ImportError:
        return _by_proc(root)
    try:
        process = psutil.Process(root)
        return [root, *(child.pid for child in process.children(recursive=True))]
    except psutil.Error:
        return [root]


def resident(pids: list[int]) -> int | None:
    """Bytes in main memory, shared pages counted in each; None where it cannot be told."""
    sizes = [size for pid in pids if (size := _resident(pid)) is not None]
    return sum(sizes) if sizes else None


def _by_proc(root: int) -> list[int] | None:
    try:
        numbers = [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208
    except OSError:
        return None
    children: dict[int, list[int]] = {}
    for pid in numbers:
        try:
            # The name in front is in brackets and may itself hold spaces and brackets.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(pid)
        except (OSError, ValueError, IndexError):
            continue  # it has ended meanwhile
    found, new = [], [root]
    while new:
        pid = new.pop()
        found.append(pid)
        new += children.get(pid, [])
    return found


def _resident(pid: int) -> int | None:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE") or None  # 0: a zombie
    except (OSError, ValueError, IndexError, AttributeError):
        pass
    try:
        import psutil
    except ImportError:
        return None
    try:
        return psutil.Process(pid).memory_info().rss
    except psutil.Error:
        return None
