"""Links of a UI graph: rows of the link table in both spellings, and the slots that name them."""

from __future__ import annotations

from typing import Any

# The ends of a subgraph: ids that no node has.
INPUT_NODE = -10
OUTPUT_NODE = -20
_ROW = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")


class Link:
    """One row of a link table: an array as in format 0.4, or an object as in 1.0 and subgraphs."""

    def __init__(self, row: list | dict) -> None:
        self.row = row

    def get(self, name: str) -> Any:
        """One of id, origin_id, origin_slot, target_id, target_slot, type."""
        if isinstance(self.row, dict):
            return self.row.get(name)
        index = _ROW.index(name)
        return self.row[index] if index < len(self.row) else None

    def set(self, **values: Any) -> None:
        for name, value in values.items():
            self.row[name if isinstance(self.row, dict) else _ROW.index(name)] = value

    def like(self, **values: Any) -> Link:
        """A new row in the same spelling, without the reroutes of this one."""
        if isinstance(self.row, dict):
            return Link({name: values.get(name, self.get(name)) for name in _ROW})
        return Link([values.get(name, self.get(name)) for name in _ROW])


def is_row(value: Any) -> bool:
    """Whether a value can only be a link in the array spelling."""
    return isinstance(value, list) and len(value) >= 5 and type(value[0]) in (int, str)


def as_fields(row: list) -> dict[str, Any]:
    """An array row by field; what is beyond the known fields is named by its index."""
    names = [*_ROW, *map(str, range(len(_ROW), len(row)))]
    return dict(zip(names, row, strict=False))


def as_row(fields: dict[str, Any]) -> list:
    return list(fields.values())


def key(value: Any) -> str:
    """A node id as the rules use it: 5 and "5" are one id, as in the editor."""
    return str(value)


def type_name(value: Any) -> str:
    return value if isinstance(value, str) else "*"


def links_of(graph: dict[str, Any]) -> list[Link]:
    return [Link(row) for row in graph.get("links") or []]


def is_outside(graph: dict[str, Any], node_id: Any, end: str) -> bool:
    """Whether an id means the graph's own end: `end` is "inputNode" or "outputNode"."""
    usual = INPUT_NODE if end == "inputNode" else OUTPUT_NODE
    found = graph.get(end)
    return isinstance(found, dict) and node_id == found.get("id", usual)


def slot_at(slots: Any, index: Any) -> dict[str, Any] | None:
    """The slot, None where a link names one that is not there."""
    if isinstance(slots, list) and type(index) is int and 0 <= index < len(slots):
        return slots[index]
    return None


def give_link(slot: dict[str, Any], old: Any, new: Any) -> None:
    """An input slot, or a subgraph's output, is fed by `new` instead of `old`."""
    if "linkIds" in slot:
        kept = [entry for entry in slot["linkIds"] or [] if entry != old]
        slot["linkIds"] = [*kept, new]
    else:
        slot["link"] = new


def take_link(slot: dict[str, Any], link_id: Any) -> None:
    """The slot, at whichever end of the link, has it no more."""
    if slot.get("link") == link_id:
        slot["link"] = None
    for name in ("links", "linkIds"):
        if slot.get(name):
            slot[name] = [entry for entry in slot[name] if entry != link_id]


def drop_reroutes(graph: dict[str, Any], link: Link) -> None:
    """The link runs straight: its old way may be shared with links from another output."""
    extra = graph.get("extra") or {}
    if isinstance(link.row, dict):
        link.row.pop("parentId", None)
    if extra.get("linkExtensions"):
        kept = [entry for entry in extra["linkExtensions"] if entry.get("id") != link.get("id")]
        extra["linkExtensions"] = kept
    for reroute in [*(graph.get("reroutes") or []), *(extra.get("reroutes") or [])]:
        take_link(reroute, link.get("id"))
