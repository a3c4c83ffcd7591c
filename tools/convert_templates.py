"""Converts every official workflow template and checks each promise: the table of docs/convert.md.

    pip install comfyui-workflow-templates-json
    python tools/convert_templates.py

A promise that is not kept is printed, and the exit code is then 1.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from importlib import metadata, resources
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import truetile
from truetile.converter import consistency
from truetile.converter.document import graphs
from truetile.converter.node_types import REPLACED
from truetile.converter.rewrite import same

PACKAGE = "comfyui-workflow-templates-json"
MODES: dict[str, dict[str, Any]] = {
    "replace": {},
    "`--wrap`": {"wrap": True},
    "`--checkpoints`": {"checkpoints": True},
    "`--wrap --budget sample=4`": {"wrap": True, "budgets": {"sample": 4}},
}
FORMATS = ("UI 0.4", "UI 1.0")
BROKEN = {"LOST", "LINKS", "UNDO", "TWICE"}


@dataclass
class Survey:
    """Counts over all files: features by format, outcomes by mode and format, broken promises."""

    version: str
    files: Counter = field(default_factory=Counter)
    features: Counter = field(default_factory=Counter)
    outcomes: Counter = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)


def survey(modes: Iterable[str] = tuple(MODES), formats: Collection[str] = FORMATS) -> Survey:
    """All templates in these modes and formats."""
    found = Survey(metadata.version(PACKAGE))
    for name, text in templates():
        document = json.loads(text)
        found.features += Counter(features(document))
        # The official templates are all 0.4; the same graphs in 1.0 are the second format.
        for kind, given in zip(FORMATS, (text, json.dumps(as_version_1(document))), strict=True):
            if kind in formats:
                found.files[kind] += 1
                for mode in modes:
                    outcome = Counter(promises(given, MODES[mode]))
                    found.outcomes += Counter({(mode, kind, k): n for k, n in outcome.items()})
                    if what := sorted(BROKEN & outcome.keys()):
                        found.broken.append(f"{name} ({kind}, {mode}): {', '.join(what)}")
    return found


def templates() -> Iterator[tuple[str, str]]:
    """Name and text of each file that is a workflow; the package has lists of them too."""
    folder = resources.files(PACKAGE.replace("-", "_")) / "templates"
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path.name.endswith(".json"):
            text = path.read_bytes().decode("utf-8")
            document = json.loads(text)
            if isinstance(document, dict) and isinstance(document.get("nodes"), list):
                yield path.name, text


def promises(text: str, options: dict[str, Any]) -> Iterator[str]:
    """What one conversion did; words in capitals are promises that it broke."""
    before = json.loads(text)
    done = truetile.convert(text, **options)
    if not done.changed:
        return
    yield "changed"
    after = json.loads(done.text)
    if ids(before) - ids(after):
        yield "LOST"
    if consistency.problems(after) - consistency.problems(before):
        yield "LINKS"
    undone = truetile.undo(done.text)
    if not same(json.loads(undone.text), before):
        yield "UNDO"
    if undone.text == text:
        yield "same bytes"
    if truetile.convert(after, **options).changed:
        yield "TWICE"
    for step in done.steps:
        yield step.what


def ids(document: dict[str, Any]) -> set[tuple[str, Any]]:
    return {(where, node["id"]) for where, graph in graphs(document) for node in graph["nodes"]}


def as_version_1(document: dict[str, Any]) -> dict[str, Any]:
    """The same workflow as the editor's format 1.0 writes it."""
    rest = {k: v for k, v in document.items() if k not in ("last_node_id", "last_link_id")}
    names = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    links = [dict(zip(names, row, strict=False)) for row in document.get("links", [])]
    state = {
        "lastGroupId": 0,
        "lastNodeId": document.get("last_node_id", 0),
        "lastLinkId": document.get("last_link_id", 0),
        "lastRerouteId": 0,
    }
    return {**rest, "version": 1, "state": state, "links": links}


def features(document: dict[str, Any]) -> set[str]:
    """What of the things that converters stumble over a file has."""
    found = set()
    outer, *inner = [graph for _, graph in graphs(document)]
    definitions = {graph["id"] for graph in inner}
    used = Counter(node["type"] for graph in (outer, *inner) for node in graph["nodes"])
    if definitions:
        found.add("subgraphs")
    if definitions & {node["type"] for graph in inner for node in graph["nodes"]}:
        found.add("subgraphs in subgraphs")
    if any(used[name] > 1 for name in definitions):
        found.add("a subgraph used twice")
    for graph in (outer, *inner):
        for node in graph["nodes"]:
            found |= set(_of_node(node))
    if consistency.problems(document):
        found.add("links that do not agree already")
    return found


def _of_node(node: dict[str, Any]) -> Iterator[str]:
    kind = node["type"]
    if kind in REPLACED:
        yield f"`{kind}`"
        if node.get("mode") == 2:
            yield "a muted VAE node"
        if node.get("mode") == 4:
            yield "a bypassed VAE node"
        if any(s.get("widget") and s.get("link") is not None for s in node.get("inputs") or []):
            yield "a VAE node with a wired widget"
    if kind in ("Reroute", "PrimitiveNode", "VAELoader"):
        yield f"`{kind}`"
    if isinstance(node.get("widgets_values"), dict):
        yield "widgets by name"


def table(found: Survey) -> str:
    count = found.files[FORMATS[0]]
    lines = [
        f"`{PACKAGE}` {found.version}: {count} workflows.",
        "",
        "| in the files | files |",
        "|---|---|",
        *(f"| {name} | {number} |" for name, number in _ranked(found.features)),
        "",
        "| mode | format | files changed | nodes replaced | nodes inserted "
        "| undo exact | undo equal byte for byte |",
        "|---|---|---|---|---|---|---|",
    ]
    for mode in MODES:
        for kind in FORMATS:
            got = {
                key[2]: number for key, number in found.outcomes.items() if key[:2] == (mode, kind)
            }
            changed = got.get("changed", 0)
            lines.append(
                f"| {mode} | {kind} | {changed} | {got.get('replaced', 0)} "
                f"| {got.get('inserted', 0)} | {changed - got.get('UNDO', 0)} "
                f"| {got.get('same bytes', 0)} |"
            )
    return "\n".join(lines) + "\n"


def _ranked(counts: Counter) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def main() -> int:
    found = survey()
    print(table(found), end="")
    for line in found.broken:
        print(line, file=sys.stderr)
    return 1 if found.broken else 0


if __name__ == "__main__":
    sys.exit(main())
