"""Readings for people: a table that stays in place on a terminal, one line each elsewhere."""

from __future__ import annotations

import shutil
import textwrap
import time
from collections import deque
from collections.abc import Sequence

from ..native.memory import say_bytes
from .reading import Reading

_BARS = "▁▂▃▄▅▆▇█"
_HOME, _CLEAR_LINE, _CLEAR_REST = "\x1b[H", "\x1b[K", "\x1b[J"
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
    """A page that is drawn anew with each reading; remembers what the sparkline shows.

    When a reading cannot be had the last one stays, with its age.
    """

    def __init__(self, title: str, interval: float) -> None:
        self._title, self._interval = title, interval
        self._readings: list[Reading] = []
        self._at = 0.0
        self._problem = ""
        # By place and name: two cards of one kind have the same name.
        self._used: dict[tuple[int, str], deque[int | None]] = {}
        self._peaks: dict[tuple[int, str], int] = {}

    def add(self, readings: Sequence[Reading], at: float) -> None:
        """Takes readings of the moment `at`, in seconds of Unix time."""
        self._readings, self._at, self._problem = list(readings), at, ""
        for key, reading in _keyed(readings):
            self._used.setdefault(key, deque(maxlen=_WIDEST)).append(reading.used)
            if reading.used is not None:
                self._peaks[key] = max(self._peaks.get(key, 0), reading.used)

    def missed(self, problem: str) -> None:
        """A reading that could not be had: a gap in every sparkline."""
        self._problem = problem
        for used in self._used.values():
            used.append(None)

    def text(self, now: float) -> str:
        """The page, with the control codes that put it over the one before."""
        size = shutil.get_terminal_size()
        lines = self._lines(size.columns, now, short=False)
        if len(lines) >= size.lines:
            lines = self._lines(size.columns, now, short=True)
        cut = [text[: size.columns] for text in lines][: max(size.lines - 1, 1)]
        # Line by line: a page that is cleared as a whole flickers. Before the text, not behind it:
        # at the right edge that would take the last letter away.
        return _HOME + "".join(f"{_CLEAR_LINE}{text}\n" for text in cut) + _CLEAR_REST

    def _lines(self, columns: int, now: float, short: bool) -> list[str]:
        clock = time.strftime("%H:%M:%S", time.localtime(now))
        head = f"{self._title}{clock:>{max(10, columns - len(self._title))}}"
        lines = [head if len(head) <= columns else self._title]
        if self._problem:
            lines += _wrapped(self._problem, columns)
            if self._readings:
                lines.append(f"The figures are {_seconds(max(0.0, now - self._at))} old.")
        for key, reading in _keyed(self._readings):
            lines += _brief(reading) if short else self._device(key, reading, columns)
        system = next((r for r in self._readings if r.ram_total is not None), None)
        if system is not None and not any(r.main_memory for r in self._readings):
            used = None if system.ram_free is None else system.ram_total - system.ram_free
            memory = Reading("main memory", "", system.ram_total, system.ram_free)
            lines += _brief(memory) if short else ["", memory.device, _gauge(used, memory, None)]
        end = "Ctrl-C ends. Peaks shorter than the time between two readings are missed."
        return [*lines, *([] if short else ["", end])]

    def _device(self, key: tuple[int, str], reading: Reading, columns: int) -> list[str]:
        name = "main memory" if reading.main_memory else reading.device
        lines = ["", f"{name}  [{reading.source}]"]
        if reading.note and not reading.main_memory:
            lines += [f"  {line}" for line in _wrapped(reading.note, columns - 2)]
        lines.append(_gauge(reading.used, reading, self._peaks.get(key)))
        lines.append(_row("free", reading.free, ""))
        if reading.torch_reserved is not None:
            unused = f"{say_bytes(reading.torch_free)} of it unused"
            lines.append(_row("torch reserved", reading.torch_reserved, unused))
        seen = self._used[key]
        bars = sparkline(seen, reading.total, max(10, min(_WIDEST, columns - 4)))
        top = "" if reading.total is None else f", full height {say_bytes(reading.total)}"
        span = _seconds(len(bars) * self._interval)
        return [*lines, f"  {bars}", f"  used in the last {span}{top}"]


def _keyed(readings: Sequence[Reading]) -> list[tuple[tuple[int, str], Reading]]:
    return [((place, reading.device), reading) for place, reading in enumerate(readings)]


def _row(name: str, count: int | None, beside: str) -> str:
    return f"  {name:<15}{say_bytes(count):>12}  {beside}".rstrip()


def _gauge(used: int | None, reading: Reading, peak: int | None) -> str:
    beside = [f"of {say_bytes(reading.total)}"]
    if used is not None and reading.total:
        beside = [f"{_percent(used, reading.total)} {beside[0]}"]
    if peak is not None:
        beside.append(f"highest seen {say_bytes(peak)}")
    return _row("used", used, ", ".join(beside))


def _brief(reading: Reading) -> list[str]:
    """A device in one line, for terminals of few lines."""
    used, total = say_bytes(reading.used), say_bytes(reading.total)
    share = _percent(reading.used, reading.total)
    name = "main memory" if reading.main_memory else reading.device
    return [f"{used:>10} of {total:>10} used {share:>4}  {name}"]


def _percent(used: int | None, total: int | None) -> str:
    """Rounded down: a device with something left is not 100% full."""
    return "" if used is None or not total else f"{100 * used // total}%"


def _wrapped(text: str, columns: int) -> list[str]:
    return textwrap.wrap(text, max(20, columns)) or [""]


def _seconds(count: float) -> str:
    if count < 10:
        return f"{count:.1f} s"
    return f"{count:.0f} s" if count < 120 else f"{count / 60:.0f} min"
