"""Where a document keeps the changes that `undo` takes back.

In a UI workflow that is `extra.truetile`, which the editor keeps when it saves; in an API prompt
`_meta.truetile` of one of TrueTile's nodes, which ComfyUI does not read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .node_types import OURS, PACK
from .record import Change


def take(data: dict[str, Any]) -> list[Change]:
    """Removes the record and gives it, the oldest change first; empty where there is none."""
    for holder, name in _homes(data):
        home = holder.get(name)
        if isinstance(home, dict) and PACK in home:
            record = home.pop(PACK)
            record = record if isinstance(record, dict) else {}
            before = record.get("before")
            if not home and isinstance(before, list):
                holder.update(zip([name], before, strict=False))
                if not before:
                    del holder[name]
            changes = record.get("undo")
            return changes if isinstance(changes, list) else []
    return []


def put(data: dict[str, Any], changes: list[Change]) -> None:
    """Keeps the changes in a document without a record."""
    holder, name = next(
        (holder, name) for holder, name in _homes(data) if holder.get("class_type", "") in _HOLDERS
    )
    record: dict[str, Any] = {"undo": changes}
    if not isinstance(holder.get(name), dict):
        # What the document goes back to: nothing there, or something that is no place for this.
        record["before"] = [holder[name]] if name in holder else []
        holder[name] = {}
    holder[name][PACK] = record


# A UI workflow itself has no class_type.
_HOLDERS = {"", *OURS}


def _homes(data: dict[str, Any]) -> Iterable[tuple[dict[str, Any], str]]:
    if "nodes" in data:
        return [(data, "extra")]
    return [(entry, "_meta") for entry in data.values()]
