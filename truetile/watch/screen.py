"""Readings for people: a table that stays in place on a terminal, one line each elsewhere."""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Sequence

from ..native.memory import say_bytes
from .reading import Reading

_BARS = "▁▂▃▄▅▆▇█"
_HOME_AND_CLEAR = "\x1b[H\x1b[J"
_WIDEST = 400


def line(reading: Reading, at: float) -> str:
    """One reading as one line, with the local time `at` in front; without what is unknown."""
    figures = [
        ("used", reading.used),
        ("free", reading.free),
        ("total", reading.total),
        ("torch reserved", reading.torch_reserved),
        ("torch unused", reading.torch_free),
        ("RAM free", reading.ram_free),
    ]
    # The device's own three are always there, as "unknown" if need be: a column may not vanish.
    shown = [
        f"{name} {say_bytes(value)}"
        for name, value in figures
        if value is not None or name in ("used", "free", "total")
    ]
    clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(at))
    note = f" ({reading.note})" if reading.note else ""
    return f"{clock} {reading.device}: {', '.join(shown)} [{reading.source}]{note}"


def sparkline(values: Sequence[float | None], top: float | None = None, width: int = 60) -> str:
    """The last `width` values as bars from 0 to `top` (the largest); unknown ones are gaps."""
    values = list(values)[-width:]
    known = [value for value in values if value is not None]
    top = top or max(known, default=0.0) or 1.0
    last = len(_BARS) - 1
    return "".join(
        " " if value is None else _BARS[min(last, max(0, int(value / top * len(_BARS))))]
        for value in values
    )


class Table:
    """A page that is drawn anew with each reading; remembers what the sparkline shows."""

    def __init__(self) -> None:
        self._used: dict[str, deque[int | None]] = {}
        self._peaks: dict[str, int] = {}

    def add(self, readings: Sequence[Reading]) -> None:
        for reading in readings:
            self._used.setdefault(reading.device, deque(maxlen=_WIDEST)).append(reading.used)
            if reading.used is not None:
                peak = self._peaks.get(reading.device, 0)
                self._peaks[reading.device] = max(peak, reading.used)

    def missed(self) -> None:
        """A reading that could not be had: a gap in every sparkline."""
        for used in self._used.values():
            used.append(None)

    def text(self, readings: Sequence[Reading], title: str, problem: str = "") -> str:
        """The page, with the control codes that put it over the one before."""
        size = shutil.get_terminal_size()
        lines = [title, ""]
        for reading in readings:
            lines += self._device(reading, size.columns)
        if problem:
            lines.append(problem)
        lines.append("Peaks are those of the readings: shorter ones are missed. Ctrl-C ends.")
        cut = [text[: size.columns] for text in lines][: max(size.lines - 1, 1)]
        return _HOME_AND_CLEAR + "\n".join(cut) + "\n"

    def _device(self, reading: Reading, columns: int) -> list[str]:
        peak = self._peaks.get(reading.device)
        rows = [
            ("used", reading.used, f"highest seen {say_bytes(peak)}"),
            ("free", reading.free, f"of {say_bytes(reading.total)}"),
            ("torch reserved", reading.torch_reserved, f"{say_bytes(reading.torch_free)} unused"),
            ("RAM free", reading.ram_free, f"of {say_bytes(reading.ram_total)}"),
        ]
        lines = [f"{reading.device}  [{reading.source}]  {reading.note}".rstrip()]
        for name, value, beside in rows:
            if value is not None or name in ("used", "free"):
                lines.append(f"  {name:<15}{say_bytes(value):>12}  {beside}")
        width = max(10, min(_WIDEST, columns - 4))
        bars = sparkline(self._used.get(reading.device, ()), reading.total, width)
        return [*lines, f"  {bars}", ""]
