"""What has to be true of a document before anything in it is changed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ..errors import WorkflowError
from .json_text import Path, position, spell

_KINDS = {
    "an object": dict,
    "a list": list,
    "text": str,
    "a whole number": int,
}
_LINK_FIELDS = ("id", "origin_id", "origin_slot", "target_id", "target_slot")


class Malformed(WorkflowError):
    """A value that is not what the format has there."""

    def __init__(self, path: Path, expected: str, got: Any) -> None:
        self.path, self.expected, self.got = path, expected, got
        super().__init__(f"{spell(path)}: expected {expected}, got {_short(got)}")

    def located(self, text: str) -> WorkflowError:
        """The same with line and column in the text that the document was read from."""
        return WorkflowError(f"{position(text, self.path)}: {self}")


def check_workflow(data: dict[str, Any], path: Path = ()) -> None:
    """The parts of a UI workflow, or of a subgraph's definition, that are read or changed."""
    for name in ("extra", "state", "definitions"):
        _optional(data, name, "an object", path)
    nodes = _expect(data, "nodes", "a list", path)
    for index, node in enumerate(nodes):
        _check_node(node, (*path, "nodes", index))
    _unique((node["id"] for node in nodes), (*path, "nodes"))
    links = _optional(data, "links", "a list", path)
    for index, row in enumerate(links):
        _check_link(row, (*path, "links", index))
    ids = [row[0] if isinstance(row, list) else row["id"] for row in links]
    _unique(ids, (*path, "links"))
    for holder, at in ((data, path), (data.get("extra") or {}, (*path, "extra"))):
        for name in ("linkExtensions", "reroutes"):
            _check_slots(holder, name, "linkIds", at)
    _check_subgraphs(data, path)


def check_prompt(data: dict[str, Any]) -> None:
    """The parts of an API prompt that are read or changed."""
    for name, entry in data.items():
        _expect(data, name, "an object", ())
        _expect(entry, "class_type", "text", (name,))
        _expect(entry, "inputs", "an object", (name,))


def _check_subgraphs(data: dict[str, Any], path: Path) -> None:
    definitions = data.get("definitions") or {}
    at = (*path, "definitions")
    for index, inner in enumerate(_optional(definitions, "subgraphs", "a list", at)):
        here = (*at, "subgraphs", index)
        if not isinstance(inner, dict):
            raise Malformed(here, "an object", inner)
        _expect(inner, "id", "text", here)
        for name in ("inputNode", "outputNode"):
            _optional(inner, name, "an object", here)
        for name in ("inputs", "outputs"):
            _check_slots(inner, name, "linkIds", here)
        check_workflow(inner, here)


def _check_node(node: Any, path: Path) -> None:
    if not isinstance(node, dict):
        raise Malformed(path, "an object", node)
    _identity(node.get("id"), (*path, "id"))
    _expect(node, "type", "text", path)
    for name in ("properties", "flags"):
        _optional(node, name, "an object", path)
    _check_slots(node, "inputs", None, path)
    _check_slots(node, "outputs", "links", path)
    for index, slot in enumerate(node.get("inputs") or []):
        _expect(slot, "name", "text", (*path, "inputs", index))


def _check_slots(holder: dict[str, Any], name: str, links: str | None, path: Path) -> None:
    for index, slot in enumerate(_optional(holder, name, "a list", path)):
        here = (*path, name, index)
        if not isinstance(slot, dict):
            raise Malformed(here, "an object", slot)
        if links is not None:
            _optional(slot, links, "a list", here)


def _check_link(row: Any, path: Path) -> None:
    if isinstance(row, list):
        if len(row) < len(_LINK_FIELDS):
            raise Malformed(path, "[id, origin, slot, target, slot, type]", row)
        named = {index: row[index] for index in range(len(_LINK_FIELDS))}
    elif isinstance(row, dict):
        named = {name: row.get(name) for name in _LINK_FIELDS}
    else:
        raise Malformed(path, "a link", row)
    for place, (step, value) in enumerate(named.items()):
        if place in (2, 4):
            if type(value) is not int:
                raise Malformed((*path, step), "a whole number", value)
        else:
            _identity(value, (*path, step))


def _identity(value: Any, path: Path) -> None:
    if type(value) not in (int, str):
        raise Malformed(path, "an id (a number or text)", value)


def _unique(ids: Iterable[Any], path: Path) -> None:
    seen: set[str] = set()
    for index, value in enumerate(ids):
        if str(value) in seen:
            raise Malformed((*path, index), "an id that is used once", value)
        seen.add(str(value))


def _expect(holder: dict[str, Any], name: str, kind: str, path: Path) -> Any:
    value = holder.get(name)
    if type(value) is not _KINDS[kind]:
        raise Malformed((*path, name), kind, value)
    return value


def _optional(holder: dict[str, Any], name: str, kind: str, path: Path) -> Any:
    value = holder.get(name)
    return _KINDS[kind]() if value is None else _expect(holder, name, kind, path)


def _short(value: Any) -> str:
    text = json.dumps(value, default=repr)
    return text if len(text) <= 40 else f"{text[:37]}..."
