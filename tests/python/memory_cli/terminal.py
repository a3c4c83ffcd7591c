"""`truetile memory watch` on a real terminal of a given size, by a pseudo-terminal."""

from __future__ import annotations

import os
import re
import select
import signal
import struct
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[3]
_PATIENCE = 120.0


def watch(
    argv: list[str], columns: int, lines: int, frames: int, term: str = "xterm-256color"
) -> tuple[list[list[str]], int, str]:
    """Runs it until it has drawn `frames` pages, then presses Ctrl-C; 0: until it ends by itself.

    Gives the pages as lines without control codes, the exit code, and all that was written.
    """
    import fcntl
    import pty
    import termios

    pid, master = pty.fork()
    if pid == 0:
        size = struct.pack("HHHH", lines, columns, 0, 0)
        fcntl.ioctl(0, termios.TIOCSWINSZ, size)  # before the first page is drawn
        environment = {**os.environ, "TERM": term, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
        for name in ("COLUMNS", "LINES"):
            environment.pop(name, None)
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored where tests run in the background
        command = [sys.executable, "-m", "truetile.cli", "memory", "watch", *argv]
        os.execve(sys.executable, command, environment)
    written, pressed = b"", False
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if not select.select([master], [], [], 0.1)[0]:
            continue
        try:
            data = os.read(master, 1 << 16)
        except OSError:  # the other end is closed
            break
        if not data:
            break
        written += data
        if frames and not pressed and written.count(b"\x1b[J") >= frames:
            pressed = True
            os.write(master, b"\x03")
    else:
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    os.close(master)
    text = written.decode().replace("\r\n", "\n")
    return _pages(text), os.waitstatus_to_exitcode(status), text


def _pages(text: str) -> list[list[str]]:
    pages = [part for part in text.split("\x1b[H")[1:] if "\x1b[J" in part]
    return [re.sub(r"\x1b\[.", "", part.partition("\x1b[J")[0]).splitlines() for part in pages]
