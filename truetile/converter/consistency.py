"""What is wrong with a document's links, and putting it right after an undo of an edited one."""

from __future__ import annotations

from typing import Any

from .api_prompt import is_link
from .document import graphs
from .graph import agree
from .ui_links import Link, is_outside, key, links_of, slot_at, take_link, type_name


def problems(data: dict[str, Any]) -> set[str]:
    """A line for each link whose ends are missing, disagree or have types that do not fit."""
    if "nodes" not in data:
        return _prompt_problems(data)
    return {f"{where}: {line}" for where, graph in graphs(data) for line in _Table(graph).wrong()}


def mend(data: dict[str, Any]) -> None:
    """Links without two ends go, and the slots say again what the link tables say."""
    for _, graph in graphs(data):
        _Table(graph).mend()


class _Table:
    """The links of one UI graph, and the slots at their ends."""

    def __init__(self, graph: dict[str, Any]) -> None:
        self._graph = graph
        self._nodes = {key(node["id"]): node for node in graph["nodes"]}
        self._links = links_of(graph)

    def wrong(self) -> list[str]:
        found = []
        for link in self._links:
            for side in ("origin", "target"):
                found += self._wrong_at(link, side)
        known = {link.get("id") for link in self._links}
        for node in self._graph["nodes"]:
            slots = [*(node.get("inputs") or []), *(node.get("outputs") or [])]
            missing = {entry for slot in slots for entry in _named(slot)} - known
            found += [f"node {node['id']} names link {entry}: it is missing" for entry in missing]
        return found

    def mend(self) -> None:
        whole = [link for link in self._links if self._end(link, "origin")]
        whole = [link for link in whole if self._end(link, "target")]
        if len(whole) < len(self._links):
            self._graph["links"] = [link.row for link in whole]
        at: dict[int, list[Any]] = {}
        for link in whole:
            for side in ("origin", "target"):
                at.setdefault(id(self._end(link, side)), []).append(link.get("id"))
        for slot in self._slots():
            meant = at.get(id(slot), [])
            for entry in _named(slot) - set(meant):
                take_link(slot, entry)
            for entry in meant:
                _name(slot, entry)

    def _wrong_at(self, link: Link, side: str) -> list[str]:
        name, slot = link.get("id"), self._end(link, side)
        if slot is None:
            return [f"link {name} has no {side}"]
        if name not in _named(slot):
            return [f"link {name} is not named at its {side}"]
        if not agree(type_name(slot.get("type")), type_name(link.get("type"))):
            return [f"link {name} has another type than its {side}"]
        return []

    def _end(self, link: Link, side: str) -> dict[str, Any] | None:
        node_id, index = link.get(f"{side}_id"), link.get(f"{side}_slot")
        node = self._nodes.get(key(node_id))
        if node is not None:
            return slot_at(node.get("outputs" if side == "origin" else "inputs"), index)
        boundary, slots = ("inputNode", "inputs") if side == "origin" else ("outputNode", "outputs")
        outside = is_outside(self._graph, node_id, boundary)
        return slot_at(self._graph.get(slots), index) if outside else None

    def _slots(self) -> list[dict[str, Any]]:
        ends = self._graph if isinstance(self._graph.get("inputNode"), dict) else {}
        holders = [*self._nodes.values(), ends]
        return [slot for holder in holders for at in _SIDES for slot in holder.get(at) or []]


_SIDES = ("inputs", "outputs")


def _prompt_problems(data: dict[str, Any]) -> set[str]:
    return {
        f"node {name} {socket}: node {value[0]} is missing"
        for name, entry in data.items()
        for socket, value in entry["inputs"].items()
        if is_link(value) and value[0] not in data
    }


def _named(slot: dict[str, Any]) -> set[Any]:
    """The links that a slot says it has."""
    listed = [*(slot.get("links") or []), *(slot.get("linkIds") or []), slot.get("link")]
    return {entry for entry in listed if type(entry) in (int, str)}


def _name(slot: dict[str, Any], link_id: Any) -> None:
    field = next((name for name in ("linkIds", "links") if name in slot), None)
    if field is None:
        slot["link"] = link_id
    elif link_id not in (slot[field] or []):
        slot[field] = [*(slot[field] or []), link_id]
