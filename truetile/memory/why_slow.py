"""Explains ComfyUI's `loaded partially`: who holds the memory that was free before.

The line is arithmetic, not fragmentation: usable = free - reserve, where free counts torch's unused
blocks too. If usable fell, somebody holds the difference.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass

from .core import Account, Part, say_bytes

_MB = 2**20
# All known forms: "loaded completely; 14971.79 MB usable, 13629.08 MB loaded, full load: True",
# "loaded partially; 11332.26 MB usable, 11332.00 MB loaded, 2296.82 MB offloaded, ...", and older:
# "loaded partially 11332.26 11332.0 0", "loaded completely 14971.79 13629.08 True".
_LINE = re.compile(
    r"loaded (?P<how>completely|partially)[;,:]?\s+(?P<usable>[\d.]+(?:e\+?\d+)?)(?: MB usable)?"
    r"(?:,? (?P<loaded>[\d.]+)(?: MB loaded)?)?(?:, (?P<offloaded>[\d.]+) MB offloaded)?"
)
_HEAD = re.compile(r"Requested to load (?P<model>\S+)")
_UNLIMITED = 2**20  # "usable" of a forced full load is 1e32 or the like


@dataclass(frozen=True)
class Load:
    """One load by ComfyUI; bytes, None where the line does not say."""

    model: str
    complete: bool
    usable: int | None
    loaded: int | None
    offloaded: int | None


@dataclass(frozen=True)
class Explanation:
    """Why a model was loaded partially. `missing` is usable before minus now."""

    load: Load
    before: Load | None
    missing: int | None
    holders: tuple[Part, ...]
    advice: tuple[str, ...]

    def __str__(self) -> str:
        now = self.load
        lines = [f"{now.model} was loaded partially: {say_bytes(now.usable)} usable"]
        if now.offloaded:
            lines[0] += f", {say_bytes(now.offloaded)} stay in main memory and are sent each step"
        if self.missing is not None and self.before is not None:
            lines.append(
                f"{say_bytes(self.before.usable)} were usable when it was loaded completely: "
                f"{say_bytes(self.missing)} less now"
            )
        lines += [f"  held by {part.name}: {say_bytes(part.bytes)}" for part in self.holders]
        lines.append("This is not fragmentation: ComfyUI counts torch's unused blocks as free.")
        lines += [f"  {advice}" for advice in self.advice]
        return "\n".join(lines)


def parse(line: str, model: str = "a model") -> Load | None:
    """The load that a line of ComfyUI's log tells of, or None."""
    found = _LINE.search(line)
    if found is None:
        return None
    return Load(
        model=model,
        complete=found["how"] == "completely",
        usable=_bytes(found["usable"]),
        loaded=_bytes(found["loaded"]),
        offloaded=_bytes(found["offloaded"]),
    )


def explain(load: Load, before: Load | None, account: Account, managed: str = "") -> Explanation:
    """Who holds the memory that `load` lacks, by the account; largest first, the model aside.

    managed: the name of the loaded model in the account, which is not in its own way.
    """
    missing = None
    if before is not None and before.usable is not None and load.usable is not None:
        missing = max(before.usable - load.usable, 0)
    own = {"unknown", "slack"}
    parts = [p for p in account.parts if p.kind not in own and p.bytes > 0 and p.name != managed]
    holders: list[Part] = []
    still = missing if missing is not None else (load.offloaded or 0)
    for part in sorted(parts, key=lambda part: -part.bytes):
        if still <= 0:
            break
        holders.append(part)
        still -= part.bytes
    return Explanation(load, before, missing, tuple(holders), tuple(_advice(holders)))


class LoadWatcher(logging.Handler):
    """Listens to a logger and calls `tell` with an Explanation for each partial load.

    account: reads who holds memory; called on the thread that logs. What it raises is swallowed:
    a watcher must not stop a load.
    """

    def __init__(self, account: Callable[[], Account], tell: Callable[[Explanation], None]) -> None:
        super().__init__(logging.INFO)
        self._account, self._tell = account, tell
        self._model = "a model"
        self._complete: dict[str, Load] = {}
        self._busy = False

    def emit(self, record: logging.LogRecord) -> None:
        if self._busy:
            return
        self._busy = True
        try:
            self.see(record.getMessage())
        except Exception:
            self.handleError(record)
        finally:
            self._busy = False

    def see(self, line: str) -> Explanation | None:
        """Takes one line of the log; gives the explanation when it tells of a partial load."""
        if head := _HEAD.search(line):
            self._model = head["model"]
        load = parse(line, self._model)
        if load is None:
            return None
        if load.complete:
            if load.usable is not None:
                self._complete[load.model] = load
            return None
        before = self._complete.get(load.model)
        explanation = explain(load, before, self._account(), load.model)
        self._tell(explanation)
        return explanation


def _bytes(text: str | None) -> int | None:
    if text is None:
        return None
    megabytes = float(text)
    return round(megabytes * _MB) if megabytes < _UNLIMITED * 1024 else None


def _advice(holders: list[Part]) -> list[str]:
    kinds = {part.kind for part in holders}
    advice = []
    if "process" in kinds:
        advice.append("Close the other program, or give it less of the card.")
    if "model" in kinds:
        advice.append("A MemoryCheckpoint with action 'offload' before this model frees the other.")
    if kinds & {"tensors", "torch"}:
        advice.append(
            "A tensor outside ComfyUI's model management: an update of the custom node that holds "
            "it, or a restart, frees it; ComfyUI cannot."
        )
    if kinds & {"own", "cast buffers"} and len(kinds) == 1:
        advice.append("Memory of libraries and buffers: it comes back when the process ends.")
    return advice
