"""Conversion of one document, and its undo."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidArgument, WorkflowError
from . import consistency, json_text, record, rules, undo_store
from .checks import Malformed
from .document import Document
from .phases import PHASES
from .rewrite import dump, rewrite

_MAX_GIB = 1024


class NotConverted(WorkflowError):
    """There is nothing to undo."""


@dataclass(frozen=True)
class Conversion:
    """The new document and what was done for it.

    `steps` are (what, node, where, text); `notes` say what was left alone and why. `changed` is
    False where there was nothing to do, and `document` is then the one that was given.
    """

    document: dict[str, Any]
    format: str
    steps: tuple[rules.Step, ...]
    notes: tuple[str, ...]
    changed: bool
    _source: tuple[str, Any] | None = None

    @property
    def text(self) -> str:
        """The document as JSON; of a text that was given, what did not change keeps its bytes."""
        if self._source is None:
            return dump(self.document)
        text, data = self._source
        return rewrite(text, data, self.document) if self.changed else text

    def __str__(self) -> str:
        return "\n".join([*(str(step) for step in self.steps), *self.notes])


def convert(
    workflow: dict[str, Any] | str,
    *,
    wrap: bool = False,
    checkpoints: bool = False,
    budgets: Mapping[str, float] | None = None,
) -> Conversion:
    """A workflow that decodes and encodes through TrueTile.

    Args:
        workflow: a UI workflow (0.4 or 1.0) or an API prompt, as data or as JSON text. It is not
            changed itself.
        wrap: keep the VAE nodes and put a TrueTileVAE behind every VAE loader instead.
        checkpoints: put a MemoryCheckpoint before each phase of the run as well.
        budgets: GiB that may stay on the card when a phase begins, by phase: "text encode",
            "encode", "sample", "decode", "save". Implies `checkpoints`.

    Raises:
        WorkflowError: not such a document; with line and column where a text was given.
        InvalidArgument: an unknown phase, or a budget outside (0, 1024].
    """
    limits = _budgets(budgets or {})
    opened = _open(workflow)
    data = copy.deepcopy(opened.data)
    changes = undo_store.take(data)
    before = copy.deepcopy(data)
    document, steps = Document(data), rules.Steps()
    (rules.wrap if wrap else rules.replace)(document, steps)
    if checkpoints or limits:
        rules.checkpoints(document, limits, steps)
    if not steps.done:
        return opened.conversion(opened.data, steps)
    # The record must not follow what the caller does to the document.
    change = copy.deepcopy(record.change(data, before))
    undo_store.put(data, [*changes, change])
    return opened.conversion(data, steps)


def undo(workflow: dict[str, Any] | str) -> Conversion:
    """The workflow as it was before `convert`, however often it was converted.

    What was edited since keeps the edit; `notes` then say where. Raises WorkflowError, or
    NotConverted for a document that was never converted.
    """

    opened = _open(workflow)
    data = copy.deepcopy(opened.data)
    had = consistency.problems(data)
    changes = undo_store.take(data)
    if not changes:
        raise NotConverted("the workflow has no record of a conversion to undo")
    steps = rules.Steps()
    try:
        for change in reversed(changes):
            data = record.take_back(data, change, steps.notes)
        Document(data)
    except (Malformed, KeyError, TypeError, AttributeError, ValueError):
        raise WorkflowError("the record of the conversion is damaged") from None
    if "nodes" in data and consistency.problems(data) - had:
        consistency.mend(data)
    return opened.conversion(data, steps)


@dataclass(frozen=True)
class _Opened:
    """A checked document, with the text that it was read from."""

    text: str | None
    data: dict[str, Any]
    format: str

    def conversion(self, data: dict[str, Any], steps: rules.Steps) -> Conversion:
        source = (self.text, self.data) if self.text is not None else None
        changed = data is not self.data
        return Conversion(data, self.format, tuple(steps.done), tuple(steps.notes), changed, source)


def _open(workflow: dict[str, Any] | str) -> _Opened:
    text = workflow if isinstance(workflow, str) else None
    data = json_text.parse(text) if text is not None else workflow
    try:
        return _Opened(text, data, Document(data).format)
    except Malformed as error:
        raise (error.located(text) if text is not None else error) from None


def _budgets(budgets: Mapping[str, float]) -> dict[str, float]:
    found = {}
    for name, gib in budgets.items():
        phase = name.replace("_", " ").replace("-", " ").strip().lower()
        if phase not in PHASES:
            raise InvalidArgument(f"budget={name}: the phase must be one of {', '.join(PHASES)}")
        if not isinstance(gib, (int, float)) or not 0 < gib <= _MAX_GIB:
            raise InvalidArgument(f"budget={name}={gib}: must be more than 0 GiB, up to {_MAX_GIB}")
        found[phase] = gib
    return found
