"""The phases of a run, told from the graph: which node begins which, and over which wires."""

from __future__ import annotations

from typing import NamedTuple

from .graph import Node, Source, View, Wire
from .node_types import CHECKPOINT

TEXT, ENCODE, SAMPLE, DECODE, SAVE = "text encode", "encode", "sample", "decode", "save"
# In the order in which a run goes through them. Loading comes first and needs no checkpoint.
PHASES = (TEXT, ENCODE, SAMPLE, DECODE, SAVE)
_SAVES = ("Save", "Preview", "VHS_VideoCombine", "CreateVideo")
_SAMPLED = {"latent_image", "latent", "latents", "samples"}
_DECODED = ("IMAGE", "AUDIO", "VOXEL")
_ENCODED = ("LATENT", "CONDITIONING", "CLIP_VISION_OUTPUT")
_ENCODERS = ("Encode", "ToVideo", "Inpaint", "Vace")
_SUBGRAPH = "subgraph"


class Begin(NamedTuple):
    """`wires` have one source; a checkpoint on them runs before what they lead to."""

    phase: str
    wires: list[Wire]


def phase_of(node: Node) -> str | None:
    """The phase that the node is part of; None for what takes next to no memory."""
    names = node.inputs.keys()
    if node.type.startswith(_SAVES):
        return SAVE
    if names & {"model", "guider"} and names & _SAMPLED and _gives(node, "LATENT", "Sampler"):
        return SAMPLE
    if "clip" in names and _gives(node, "CONDITIONING", "Encode"):
        return TEXT
    if {"vae", "samples"} <= names and _gives(node, _DECODED, "Decode"):
        return DECODE
    if names & {"vae", "clip_vision"} and _gives(node, _ENCODED, _ENCODERS):
        return ENCODE
    return None


def begins(view: View, subgraphs: set[str]) -> list[Begin]:
    """Where phases begin; each sampler is a phase of its own. `subgraphs`: the types that are."""
    phases = {name: phase_of(node) for name, node in view.nodes.items() if node.runs}
    # Whatever phases are in there, they are over when it is.
    phases |= {name: _SUBGRAPH for name in phases if view.nodes[name].type in subgraphs}
    found: dict[tuple[str, str | None, Source], list[Wire]] = {}
    for name, phase in phases.items():
        if phase in PHASES:
            for wire in _entries(view, view.nodes[name], phase, phases):
                each = name if phase == SAMPLE else None
                found.setdefault((phase, each, wire.source), []).append(wire)
    order = sorted(found.items(), key=lambda item: PHASES.index(item[0][0]))
    return [Begin(phase, wires) for (phase, _, _), wires in order]


def _entries(view: View, node: Node, phase: str, phases: dict[str, str | None]) -> list[Wire]:
    """The wires over which the phases before this one come in; none twice, none of a dead node."""
    behind: list[tuple[Wire, set[str]]] = []
    for wire in node.fed():
        producer = view.producer(wire)
        dead = producer is not None and not producer.runs
        same = wire.source.node is not None and phases.get(wire.source.node) == phase != SAMPLE
        if _carries(wire, node, phase) and not dead and not same:
            behind.append((wire, _upstream(view, wire)))
    # What two wires both wait for needs one checkpoint: on the wire that waits for more.
    kept: list[tuple[Wire, set[str]]] = []
    for wire, nodes in sorted(behind, key=lambda entry: -len(entry[1])):
        done = {name for name in nodes if phases.get(name)}
        nothing = phase == SAVE and not done and wire.source.node is not None
        if not nothing and not any(done <= others for _, others in kept):
            kept.append((wire, nodes))
    return [wire for wire, _ in kept if not _checked(view, wire)]


def _checked(view: View, wire: Wire) -> bool:
    producer = view.producer(wire)
    return producer is not None and producer.type == CHECKPOINT.type


def _carries(wire: Wire, node: Node, phase: str) -> bool:
    """Whether the wire brings what the phase works on, rather than a model or a setting."""
    name, kind = wire.input, wire.type
    if phase == TEXT:
        return name == "clip"
    if phase == SAMPLE:
        return name in {"positive", "negative", "guider", *_SAMPLED}
    if phase == DECODE:
        return name == "samples"
    if phase == ENCODE:
        known = kind in ("IMAGE", "CONDITIONING") or "image" in name
        return known or name in ("pixels", "positive", "negative")
    # A video is made of its pictures by a node that is part of the save already.
    return kind == "IMAGE" or name == "images"


def _upstream(view: View, wire: Wire) -> set[str]:
    found: set[str] = set()
    waiting = [wire.source.node]
    while waiting:
        name = waiting.pop()
        if name is not None and name not in found:
            found.add(name)
            waiting += [before.source.node for before in view.nodes[name].fed()]
    return found


def _gives(node: Node, kinds: str | tuple[str, ...], words: str | tuple[str, ...]) -> bool:
    """Told by the types of the outputs, or by the node's name where the format has no types."""
    kinds = (kinds,) if isinstance(kinds, str) else kinds
    words = (words,) if isinstance(words, str) else words
    if node.outputs:
        return any(kind in kinds for kind in node.outputs)
    return any(word in node.type for word in words)
