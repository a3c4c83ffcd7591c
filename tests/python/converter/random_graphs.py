"""Hypothesis strategies: workflows of every format, tidy or not, and damage to them."""

from __future__ import annotations

import copy
import json
from typing import Any

from converter.builders import TYPES, WIDGETS, Ui
from hypothesis import strategies as st

KINDS = [*TYPES, "KSamplerAdvanced", "workflow>group", "Unknown (pack)"]
SUBGRAPH_IDS = ["11111111-aaaa", "2222-bbbb", "3333-cccc"]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-30, 30) | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)
OPTIONS = st.fixed_dictionaries(
    {
        "wrap": st.booleans(),
        "checkpoints": st.booleans(),
        "budgets": st.sampled_from([None, {"sample": 1.5}, {"decode": 2, "save": 8}]),
    }
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """A document of any format."""
    if draw(st.integers(0, 3)) == 0:
        return draw(api_prompts())
    objects = draw(st.booleans())
    subgraphs = SUBGRAPH_IDS[: draw(st.sampled_from([0, 0, 1, 2]))]
    ui = draw(_filled(objects, 1, subgraphs))
    more: dict[str, Any] = {}
    if subgraphs:
        inner = [draw(_subgraph(name, nests=name == subgraphs[0])) for name in subgraphs]
        more["definitions"] = {"subgraphs": inner}
    extra = draw(st.sampled_from(["absent", None, {}, {"ds": {"scale": 1.0}}, "groups"]))
    if extra == "groups":
        extra = {"groupNodes": {"group": {"nodes": [{"type": "VAEDecode"}]}}}
    document = ui.document(**more)
    document.pop("extra")
    if extra != "absent":
        document["extra"] = extra
    if draw(st.integers(0, 9)) == 0:
        for name in ("last_node_id", "last_link_id", "state", "version"):
            document.pop(name, None)
    return document


@st.composite
def _filled(draw: st.DrawFn, objects: bool, first_id: int, subgraphs: list[str]) -> Ui:
    ui = Ui(objects, first_id)
    for _ in range(draw(st.integers(0, 9))):
        kind = draw(st.sampled_from([*KINDS, *subgraphs]))
        more: dict[str, Any] = {"mode": draw(st.sampled_from([0, 0, 0, 0, 2, 4]))}
        if kind in subgraphs:
            more["inputs"] = [{"name": "vae", "type": "VAE", "link": None}]
            more["outputs"] = [{"name": "IMAGE", "type": "IMAGE", "links": []}]
        node = ui.node(ui.add(kind, **more))
        _vary(draw, node)
    for target in ui.nodes:
        for slot in target["inputs"] or []:
            wired = [node for node in ui.nodes if node is not target and node["outputs"]]
            if wired and draw(st.integers(0, 4)):
                source = draw(st.sampled_from(wired))
                fits = [
                    index
                    for index, output in enumerate(source["outputs"])
                    if output["type"] == slot["type"] or "*" in (output["type"], slot["type"])
                ]
                if fits:
                    ui.link(source["id"], draw(st.sampled_from(fits)), target["id"], slot["name"])
    return ui


def _vary(draw: st.DrawFn, node: dict[str, Any]) -> None:
    """What real files vary in."""
    kind = node["type"]
    if draw(st.integers(0, 5)) == 0:
        node["pos"] = {"0": draw(st.integers(-500, 500)), "1": 20.5}
    if draw(st.integers(0, 5)) == 0:
        node.pop(draw(st.sampled_from(["pos", "size", "flags", "mode", "order", "properties"])))
    if kind in WIDGETS and draw(st.booleans()):
        name = draw(st.sampled_from(WIDGETS[kind]))
        widget = {"name": name, "type": "INT", "widget": {"name": name}, "link": None}
        node["inputs"].append(widget)
    if draw(st.integers(0, 5)) == 0:
        values = dict(zip(WIDGETS.get(kind, []), node["widgets_values"], strict=False))
        node["widgets_values"] = draw(st.sampled_from([None, [], values]))
    if draw(st.integers(0, 7)) == 0:
        node["widgets_values_named"] = {}
    if draw(st.integers(0, 7)) == 0:
        node["title"] = draw(st.sampled_from(["VAE Decode", "mine"]))


@st.composite
def _subgraph(draw: st.DrawFn, name: str, nests: bool) -> dict[str, Any]:
    ui = draw(_filled(True, 100 * (1 + SUBGRAPH_IDS.index(name)), []))
    vae = {"id": f"{name}-in", "name": "vae", "type": "VAE", "linkIds": []}
    image = {"id": f"{name}-out", "name": "IMAGE", "type": "IMAGE", "linkIds": []}
    for node in ui.nodes:
        for index, slot in enumerate(node["inputs"]):
            if slot["type"] == "VAE" and slot["link"] is None:
                number = len(ui.links) + 1
                ui.row(number, -10, 0, node["id"], index, "VAE")
                slot["link"] = number
                vae["linkIds"].append(number)
        for index, slot in enumerate(node["outputs"]):
            if slot["type"] == "IMAGE" and not image["linkIds"]:
                number = len(ui.links) + 1
                ui.row(number, node["id"], index, -20, 0, "IMAGE")
                slot["links"].append(number)
                image["linkIds"].append(number)
    more = {}
    if nests and draw(st.booleans()):
        more["definitions"] = {"subgraphs": [draw(_subgraph(SUBGRAPH_IDS[2], nests=False))]}
    return ui.document(
        id=name, name=f"sub {name}", inputNode={"id": -10, "bounding": [-200, 0, 100, 60]},
        outputNode={"id": -20}, inputs=[vae], outputs=[image], **more,
    )  # fmt: skip


@st.composite
def api_prompts(draw: st.DrawFn) -> dict[str, Any]:
    prompt: dict[str, Any] = {}
    for _ in range(draw(st.integers(1, 9))):
        kind = draw(st.sampled_from(sorted(TYPES)))
        name = draw(st.sampled_from(["", "7:", "12:3:"])) + str(len(prompt) + 1)
        inputs: dict[str, Any] = dict(zip(WIDGETS.get(kind, []), TYPES[kind][2], strict=False))
        for socket in TYPES[kind][0]:
            if prompt and draw(st.integers(0, 4)):
                inputs[socket] = [draw(st.sampled_from(sorted(prompt))), draw(st.integers(0, 2))]
        prompt[name] = {"inputs": inputs, "class_type": kind}
        if draw(st.booleans()):
            prompt[name]["_meta"] = draw(st.sampled_from([{"title": "VAE Decode"}, {}, None]))
    return prompt


@st.composite
def damaged(draw: st.DrawFn) -> Any:
    """A document in which values were replaced, taken away or doubled."""
    document = copy.deepcopy(draw(documents()))
    for _ in range(draw(st.integers(1, 4))):
        at: Any = document
        while isinstance(at, (dict, list)) and at:
            step = draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
            inner = at[step]
            if isinstance(inner, (dict, list)) and inner and draw(st.integers(0, 4)):
                at = inner
                continue
            what = draw(st.integers(0, 2))
            if what == 0:
                at[step] = draw(ANYTHING)
            elif what == 1:
                del at[step]
            elif isinstance(at, list):
                at.insert(step, copy.deepcopy(inner))
            else:
                at[draw(st.text(max_size=4))] = inner
            break
    return document


@st.composite
def damaged_texts(draw: st.DrawFn) -> str:
    """The text of a document with characters taken out or put in."""
    indent = draw(st.sampled_from([None, 0, 1, 2, "\t"]))
    text = json.dumps(draw(documents()), indent=indent)
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(text)))
        end = start + draw(st.integers(0, 5))
        text = text[:start] + draw(st.text('[]{}",:0e-\\ n\n\ud800é', max_size=3)) + text[end:]
    return text
