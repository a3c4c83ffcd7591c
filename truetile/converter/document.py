"""What a workflow file holds: its format, its graphs, and the ids that are free in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import checks
from .api_prompt import ApiGraph
from .graph import Graph
from .ui_graph import UiGraph

API, UI_04, UI_10 = "API prompt", "UI 0.4", "UI 1.0"


class Document:
    """A checked document. Its graphs change `data` in place. Raises checks.Malformed."""

    def __init__(self, data: Any) -> None:
        self.data = data
        self.format = _format(data)
        self._ui = self.format != API
        if self._ui:
            checks.check_workflow(data)
            self._last_node = _highest(data, "id", "nodes", "last_node_id", "lastNodeId")
            self._last_link = _highest(data, "id", "links", "last_link_id", "lastLinkId")
        else:
            checks.check_prompt(data)

    def graphs(self) -> list[Graph]:
        """The outermost graph, then every subgraph's definition."""
        if not self._ui:
            return [ApiGraph(self.data)]
        return [UiGraph(data, where, self) for where, data in graphs(self.data)]

    def instances(self) -> set[str]:
        """The types that are subgraphs."""
        return {data["id"] for where, data in graphs(self.data) if where} if self._ui else set()

    def group_nodes(self) -> dict[str, list[str]]:
        """The types of the nodes inside each old group node, by the group node's name."""
        groups = (self.data.get("extra") or {}).get("groupNodes") if self._ui else None
        if not isinstance(groups, dict):
            return {}
        found = {}
        for name, group in groups.items():
            nodes = group.get("nodes") if isinstance(group, dict) else None
            inner = [node for node in nodes or [] if isinstance(node, dict)]
            found[name] = [node["type"] for node in inner if isinstance(node.get("type"), str)]
        return found

    def new_node(self, graph: dict[str, Any]) -> int:
        """Node ids are one row of numbers over all graphs: the editor renumbers doubles."""
        self._last_node += 1
        self._count(graph, "last_node_id", "lastNodeId", self._last_node)
        return self._last_node

    def new_link(self, graph: dict[str, Any]) -> int:
        self._last_link += 1
        self._count(graph, "last_link_id", "lastLinkId", self._last_link)
        return self._last_link

    def _count(self, graph: dict[str, Any], flat: str, nested: str, value: int) -> None:
        for each in (graph, self.data):
            if type(each.get(flat)) is int:
                each[flat] = value
            if isinstance(each.get("state"), dict) and type(each["state"].get(nested)) is int:
                each["state"][nested] = value


def graphs(data: dict[str, Any], where: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """The UI graph and its subgraph definitions, nested ones too, each with a name for people."""
    yield where, data
    for inner in (data.get("definitions") or {}).get("subgraphs") or []:
        yield from graphs(inner, str(inner.get("name") or inner["id"]))


def _format(data: Any) -> str:
    if not isinstance(data, dict):
        raise checks.Malformed((), "an object: a workflow or an API prompt", data)
    if "nodes" in data:
        version = data.get("version")
        return UI_10 if type(version) in (int, float) and version >= 1 else UI_04
    if any(isinstance(entry, dict) and "class_type" in entry for entry in data.values()):
        return API
    raise checks.Malformed((), "a workflow with 'nodes', or an API prompt with 'class_type'", data)


def _highest(data: dict[str, Any], name: str, rows: str, flat: str, nested: str) -> int:
    """The highest id that is taken or that a counter has come to."""
    numbers = [0]
    for _, graph in graphs(data):
        numbers.append(graph.get(flat))
        numbers.append((graph.get("state") or {}).get(nested))
        for row in graph.get(rows) or []:
            number = row[0] if isinstance(row, list) else row[name]
            numbers.append(int(number) if isinstance(number, str) and _whole(number) else number)
    return max(number for number in numbers if type(number) is int)


def _whole(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 15
