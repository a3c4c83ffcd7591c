"""The monitor's timeline for a picture that is drawn while it grows: rows, phases, verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby, islice
from typing import Any

from ..memory import Monitor, say_bytes
from ..memory.core import CHANNELS, PhaseStats, Sample
from ..memory.monitor import Entry

ROW_SECONDS = 0.5
WINDOW = 300.0  # seconds that a new viewer is shown
PHASES = 40
VERDICTS = 12

Row = list[float | int | None]


class TimelineView:
    """What of a monitor's timeline is new since it was last asked."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._sent = self._complete()

    def everything(self) -> dict[str, Any]:
        """For a new viewer: the last minutes up to what `news` has given, and what has happened."""
        after = max(-1.0, self._sent - WINDOW)
        samples = self._monitor.sampler.samples(after)
        rows = merged(sample for sample in samples if sample.seconds < self._sent)
        return {"channels": list(CHANNELS), "rows": rows, **self.happened()}

    def news(self) -> list[Row]:
        """Rows since the last call. A row comes when its half second is over, never twice."""
        begin, self._sent = self._sent, self._complete()
        samples = self._monitor.sampler.samples(begin - ROW_SECONDS)
        return merged(sample for sample in samples if begin <= sample.seconds < self._sent)

    def happened(self) -> dict[str, Any]:
        """Phases with the one that is open, and verdicts, the newest first."""
        monitor = self._monitor
        ended = [*monitor.earlier_phases, *monitor.phases]
        phases = [_phase(stats) for stats in ended[-PHASES:]]
        if (began := monitor.open_since) is not None:
            phases.append({"name": monitor.current_phase, "begin": began, "end": None})
        newest = map(verdict_of, reversed([*monitor.earlier_entries, *monitor.entries]))
        return {"phases": phases, "verdicts": list(islice(filter(None, newest), VERDICTS))}

    def _complete(self) -> float:
        """The end of the last half second that is over."""
        return self._monitor.sampler.now() // ROW_SECONDS * ROW_SECONDS


def merged(samples: Iterable[Sample]) -> list[Row]:
    """Samples as rows [seconds, *channels], one for each ROW_SECONDS: a peak must stay."""
    groups = groupby(samples, key=lambda sample: sample.seconds // ROW_SECONDS)
    return [_highest(int(number), list(members)) for number, members in groups]


def _highest(number: int, samples: Sequence[Sample]) -> Row:
    columns = zip(*(sample.values for sample in samples), strict=True)
    read = [[value for value in column if value is not None] for column in columns]
    return [number * ROW_SECONDS, *(max(column) if column else None for column in read)]


def _phase(stats: PhaseStats) -> dict[str, Any]:
    return {"name": stats.name, "begin": stats.begin, "end": stats.end}


def verdict_of(entry: Entry) -> dict[str, Any] | None:
    """An entry of the timeline as {seconds, kind, name, outcome, text}; None for other entries.

    outcome: "pass", "partial", "fail", or "" for what is told without being judged.
    """
    data = entry.data
    if "verdict" in data:
        outcome, text = data["verdict"]["outcome"], _judged(data)
    elif entry.kind == "repair":
        outcome, text = {True: "pass", False: "fail"}.get(data.get("met"), ""), data["text"]
    elif entry.kind == "explanation":
        outcome, text = "", data["text"]
    else:
        return None
    name = entry.name or entry.kind
    told = {"seconds": entry.seconds, "kind": entry.kind, "name": name}
    return told | {"outcome": outcome, "text": text}


def _judged(data: dict[str, Any]) -> str:
    verdict = data["verdict"]
    lines = []
    for level in verdict["levels"]:
        freed = "not available" if level["freed"] is None else f"freed {say_bytes(level['freed'])}"
        lines.append(f"{level['name']}: {freed}, {level['outcome']}")
    lines += [f"held by {one['name']}: {say_bytes(one['bytes'])}" for one in verdict["holders"]]
    lines += verdict["notes"]
    if (free := data.get("free_bytes")) is not None:
        lines.append(f"free for the next phase: {say_bytes(free)}")
    return "\n".join(lines)
