"""What a conversion does to each graph: nodes replaced, VAEs wrapped, checkpoints inserted."""

from __future__ import annotations

from dataclasses import dataclass, field

from . import phases
from .document import Document
from .graph import ANY, Source, View, Wire
from .node_types import CHECKPOINT, OURS, REPLACED, WRAP, NewNode

# VAEs of these are not for pictures, and TrueTile's nodes refuse them.
_NOT_PICTURES = ("Audio", "Hunyuan3D", "Trellis", "TripoSplat")


@dataclass(frozen=True)
class Step:
    """One thing that was done: `what` is "replaced" or "inserted", `node` the id of the node."""

    what: str
    node: str
    where: str
    text: str

    def __str__(self) -> str:
        place = f" in subgraph {self.where!r}" if self.where else ""
        return f"node {self.node}{place}: {self.text}"


@dataclass
class Steps:
    """What was done, and what was left alone although it was meant."""

    done: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def replace(document: Document, steps: Steps) -> None:
    """Every VAE node that TrueTile has a node for, running or not."""
    for graph in document.graphs():
        for name, node in graph.view().nodes.items():
            if node.type not in REPLACED:
                continue
            replacement = REPLACED[node.type]
            if why := graph.why_not(name, replacement):
                steps.notes.append(f"node {name} ({node.type}) stays: {why}")
                continue
            graph.replace(name, replacement)
            text = f"{node.type} -> {replacement.new.type}"
            steps.done.append(Step("replaced", name, graph.where, text))
    _group_nodes(document, steps)


def wrap(document: Document, steps: Steps) -> None:
    """A TrueTileVAE behind every output that loads a VAE for pictures."""
    subgraphs = document.instances()
    for graph in document.graphs():
        view = graph.view()
        for source in _vae_sources(view, subgraphs):
            wires = [wire for wire in view.consumers(source) if _for_pictures(view, wire)]
            if wires:
                loader = view.nodes[source.node]
                name = graph.insert(wires, NewNode(WRAP))
                text = f"{WRAP.type} behind {loader.type} (node {loader.id})"
                steps.done.append(Step("inserted", name, graph.where, text))


def checkpoints(document: Document, budgets: dict[str, float], steps: Steps) -> None:
    """A MemoryCheckpoint where a phase begins, with the budget of that phase if it has one."""
    seen = set()
    subgraphs = document.instances()
    for graph in document.graphs():
        for phase, wires in phases.begins(graph.view(), subgraphs):
            seen.add(phase)
            name = graph.insert(wires, NewNode(CHECKPOINT, _values(phase, budgets)))
            text = f"{CHECKPOINT.type} before the phase {phase!r}"
            steps.done.append(Step("inserted", name, graph.where, text))
    for phase in sorted(budgets.keys() - seen):
        steps.notes.append(f"budget of {phase!r}: no checkpoint was inserted before such a phase")


def _values(phase: str, budgets: dict[str, float]) -> dict[str, object]:
    values: dict[str, object] = {"phase": phase}
    if phase in budgets:
        # A budget is only kept by what leaves the card.
        values |= {"action": "offload", "may_stay_gib": budgets[phase]}
    return values


def _vae_sources(view: View, subgraphs: set[str]) -> list[Source]:
    """What gives a VAE to others, where the node that gives it runs and takes none itself.

    What loads one inside a subgraph is found there, and not where the subgraph is used.
    """
    not_loaders = {*OURS, *subgraphs}
    found = dict.fromkeys(wire.source for wire in view.wires if _is_vae(wire))
    loads = {
        node.id
        for node in view.nodes.values()
        if node.runs and not node.passes and node.type not in not_loaders
        if not any(_is_vae(wire) for wire in node.fed())
    }
    return [source for source in found if source.node in loads]


def _is_vae(wire: Wire) -> bool:
    """Where the format has no types, a VAE is what goes into an input of that name."""
    return wire.type == "VAE" or (wire.type == ANY and wire.input == "vae")


def _for_pictures(view: View, wire: Wire) -> bool:
    if wire.target is None:
        return True
    kind = view.nodes[wire.target].type
    return (
        kind not in OURS
        and "audio" not in wire.input
        and not any(word in kind for word in _NOT_PICTURES)
    )


def _group_nodes(document: Document, steps: Steps) -> None:
    for name, types in document.group_nodes().items():
        inner = sorted(REPLACED.keys() & set(types))
        if inner:
            steps.notes.append(
                f"group node {name!r} stays, with {', '.join(inner)} in it: make it a subgraph in "
                "ComfyUI (right click, Convert to Subgraph) and convert again"
            )
