"""An API prompt: what a client posts to /prompt, nodes by id with their inputs by name."""

from __future__ import annotations

import re
from typing import Any

from .graph import ANY, Node, Source, View, Wire
from .node_types import NewNode, Replacement


class ApiGraph:
    """`data` is changed in place. There are no places, modes or types in this format."""

    where = ""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data

    def view(self) -> View:
        nodes = {name: Node(name, entry["class_type"], runs=True) for name, entry in self._items()}
        wires = []
        for name, entry in self._items():
            for socket, value in entry["inputs"].items():
                node = nodes[name]
                node.input_types[socket] = ANY
                node.inputs[socket] = None
                if is_link(value) and value[0] in nodes:
                    wire = Wire(Source(value[0], value[1]), name, socket, ANY, (name, socket))
                    node.inputs[socket] = wire
                    wires.append(wire)
        return View(nodes, wires)

    def why_not(self, node: str, replacement: Replacement) -> str:
        lost = [name for name in replacement.lost if is_link(self.data[node]["inputs"].get(name))]
        return f"its {lost[0]} comes over a wire, and TrueTile's node has none" if lost else ""

    def replace(self, node: str, replacement: Replacement) -> None:
        entry = self.data[node]
        entry["class_type"] = replacement.new.type
        inputs = {k: v for k, v in entry["inputs"].items() if k not in replacement.lost}
        # ComfyUI wants every required input named; one that comes over a wire stays a wire.
        wired = {name: value for name, value in inputs.items() if is_link(value)}
        entry["inputs"] = {**inputs, **replacement.values(inputs), **wired}
        meta = entry.get("_meta")
        if isinstance(meta, dict) and meta.get("title") == replacement.title:
            meta["title"] = replacement.new.title

    def insert(self, wires: list[Wire], new: NewNode) -> str:
        name = self._new_id()
        source = wires[0].source
        for wire in wires:
            node, socket = wire.handle
            self.data[node]["inputs"][socket] = [name, 0]
        inputs = {new.socket: [source.node, source.slot], **new.widget_values()}
        meta = {"title": new.type.title}
        self.data[name] = {"inputs": inputs, "class_type": new.type.type, "_meta": meta}
        return name

    def _items(self) -> list[tuple[str, dict[str, Any]]]:
        return list(self.data.items())

    def _new_id(self) -> str:
        """A number above all others; ids inside subgraphs are written as "5:3"."""
        used = [int(part) for name in self.data for part in re.findall(r"\d{1,15}", name)]
        return str(max(used, default=0) + 1)


def is_link(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and type(value[1]) is int
    )
