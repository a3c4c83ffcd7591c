"""A graph of the editor's formats: the outermost one, or a subgraph's definition."""

from __future__ import annotations

from typing import Any, Protocol

from . import layout, ui_nodes
from .graph import ANY, Node, Source, View, Wire
from .node_types import NewNode, Replacement
from .ui_links import (
    Link,
    drop_reroutes,
    give_link,
    is_outside,
    key,
    links_of,
    slot_at,
    take_link,
    type_name,
)

_MUTED, _BYPASSED = 2, 4


class Numbers(Protocol):
    """Gives ids that nothing in the document has, and keeps the document's counters right."""

    def new_node(self, graph: dict[str, Any]) -> int: ...
    def new_link(self, graph: dict[str, Any]) -> int: ...


class UiGraph:
    """`data` is changed in place."""

    def __init__(self, data: dict[str, Any], where: str, numbers: Numbers) -> None:
        self.data = data
        self.where = where
        self._numbers = numbers
        self._raw = {key(node["id"]): node for node in data["nodes"]}

    def view(self) -> View:
        nodes = {key(node["id"]): _node(node) for node in self.data["nodes"]}
        wires = [wire for link in links_of(self.data) if (wire := self._wire(link, nodes))]
        for wire in wires:
            if wire.target is not None:
                nodes[wire.target].inputs[wire.input] = wire
        return View(nodes, wires)

    def why_not(self, node: str, replacement: Replacement) -> str:
        for slot in self._raw[node].get("inputs") or []:
            if slot["name"] in replacement.lost and slot.get("link") is not None:
                return f"its {slot['name']} comes over a wire, and TrueTile's node has none"
        return ""

    def replace(self, node: str, replacement: Replacement) -> None:
        raw = self._raw[node]
        self._drop_slots(raw, replacement.lost)
        ui_nodes.become(raw, replacement)
        ui_nodes.fit(raw, [other for other in self.data["nodes"] if other is not raw])

    def insert(self, wires: list[Wire], new: NewNode) -> str:
        node_id = self._numbers.new_node(self.data)
        link_id = self._numbers.new_link(self.data)
        first, *others = [Link(wire.handle) for wire in wires]
        box = self._place(first, new)
        # The first link keeps its id on the near side: the reroutes in its way stay its own.
        onward = first.like(id=link_id, origin_id=node_id, origin_slot=0)
        target = self._end(first, "target")
        if target is not None:
            give_link(target, first.get("id"), link_id)
        first.set(target_id=node_id, target_slot=0)
        source = self._end(first, "origin")
        for link in others:
            if source is not None:
                take_link(source, link.get("id"))
            link.set(origin_id=node_id, origin_slot=0)
            drop_reroutes(self.data, link)
        self.data["links"].append(onward.row)
        leaving = [link_id, *(link.get("id") for link in others)]
        order = len(self.data["nodes"])
        raw = ui_nodes.build(new, node_id, box, order, first.get("id"), leaving)
        self.data["nodes"].append(raw)
        self._raw[key(node_id)] = raw
        return key(node_id)

    def _wire(self, link: Link, nodes: dict[str, Node]) -> Wire | None:
        """None for a link that carries nothing, since an end is missing or has another link."""
        source, target = self._end(link, "origin"), self._end(link, "target")
        if source is None or target is None or target.get("link", link.get("id")) != link.get("id"):
            return None
        origin_id, target_id = link.get("origin_id"), link.get("target_id")
        origin = key(origin_id) if key(origin_id) in nodes else None
        goal = key(target_id) if key(target_id) in nodes else None
        start = Source(origin, link.get("origin_slot"))
        kind = type_name(link.get("type"))
        if kind == ANY:
            kind = type_name(source.get("type"))
        return Wire(start, goal, target.get("name", ""), kind, link.row)

    def _end(self, link: Link, side: str) -> dict[str, Any] | None:
        """The slot at one end of a link."""
        node_id, index = link.get(f"{side}_id"), link.get(f"{side}_slot")
        node = self._raw.get(key(node_id))
        if node is not None:
            return slot_at(node.get("outputs" if side == "origin" else "inputs"), index)
        # A subgraph's inputs are where links begin, its outputs where they end.
        boundary, slots = ("inputNode", "inputs") if side == "origin" else ("outputNode", "outputs")
        if is_outside(self.data, node_id, boundary):
            return slot_at(self.data.get(slots), index)
        return None

    def _place(self, link: Link, new: NewNode) -> layout.Box:
        boxes = {key(node["id"]): ui_nodes.box_when_run(node) for node in self.data["nodes"]}
        for end in ("inputNode", "outputNode"):
            bounding = (self.data.get(end) or {}).get("bounding")
            if isinstance(bounding, list) and len(bounding) == 4:
                found = layout.box_of(bounding[:2], bounding[2:])
                boxes[key(self.data[end].get("id"))] = found
        ends = (boxes.get(key(link.get(f"{side}_id"))) for side in ("origin", "target"))
        wish = layout.between(*ends, new.type.size(len(new.type.sockets)))
        return layout.free_place(wish, [box for box in boxes.values() if box is not None])

    def _drop_slots(self, raw: dict[str, Any], names: tuple[str, ...]) -> None:
        slots = raw.get("inputs") or []
        for index in reversed(range(len(slots))):
            if slots[index]["name"] in names:
                del slots[index]
                for link in links_of(self.data):
                    slot = link.get("target_slot")
                    if key(link.get("target_id")) == key(raw["id"]) and slot > index:
                        link.set(target_slot=slot - 1)


def _node(raw: dict[str, Any]) -> Node:
    mode = raw.get("mode", 0)
    slots = raw.get("inputs") or []
    return Node(
        key(raw["id"]),
        raw["type"],
        runs=mode not in (_MUTED, _BYPASSED),
        inputs={slot["name"]: None for slot in slots},
        input_types={slot["name"]: type_name(slot.get("type")) for slot in slots},
        outputs=[type_name(slot.get("type")) for slot in raw.get("outputs") or []],
        passes=mode == _BYPASSED or raw["type"] == "Reroute",
    )
