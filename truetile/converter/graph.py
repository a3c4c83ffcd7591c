"""One graph of a document, in the words that the rules use, whatever format it is written in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from .node_types import NewNode, Replacement

ANY = "*"


class Source(NamedTuple):
    """An output. `node` is None for what comes into a subgraph from outside."""

    node: str | None
    slot: int


class Wire(NamedTuple):
    """A link. `target` is None where it leaves the subgraph; `handle` is the format's own."""

    source: Source
    target: str | None
    input: str
    type: str
    handle: Any


@dataclass
class Node:
    """A node as the rules see it. Types are "*" where the format does not write them down."""

    id: str
    type: str
    runs: bool
    inputs: dict[str, Wire | None] = field(default_factory=dict)
    input_types: dict[str, str] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)
    # What reaches a node over these passes through unchanged: reroutes and bypassed nodes.
    passes: bool = False

    def fed(self) -> Iterator[Wire]:
        return (wire for wire in self.inputs.values() if wire is not None)


@dataclass
class View:
    """The nodes and wires of a graph at one moment; an edit makes it stale."""

    nodes: dict[str, Node]
    wires: list[Wire]

    def consumers(self, source: Source) -> list[Wire]:
        return [wire for wire in self.wires if wire.source == source]

    def producer(self, wire: Wire) -> Node | None:
        """The node that really makes what the wire carries; None for what comes from outside."""
        seen: set[str] = set()
        while wire.source.node is not None and wire.source.node not in seen:
            seen.add(wire.source.node)
            node = self.nodes[wire.source.node]
            before = [fed for fed in node.fed() if node.passes and agree(fed.type, wire.type)]
            if not before:
                return node
            wire = before[0]
        return None


def agree(a: str, b: str) -> bool:
    """Whether a wire may join two slots of these types, as the editor sees it."""
    return ANY in (a, b) or bool(set(a.upper().split(",")) & set(b.upper().split(",")))


class Graph(Protocol):
    """What each format offers. `where` names a subgraph, and is empty for the outermost graph."""

    where: str

    def view(self) -> View:
        """The graph as it is now."""

    def why_not(self, node: str, replacement: Replacement) -> str:
        """What keeps the node from being replaced, for people; empty when nothing does."""

    def replace(self, node: str, replacement: Replacement) -> None:
        """Makes it the other type; id, place, mode and wires stay."""

    def insert(self, wires: list[Wire], new: NewNode) -> str:
        """Puts a node between the one source of `wires` and their targets; gives its id."""
