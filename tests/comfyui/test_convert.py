"""Converted workflows on a real ComfyUI: it takes them, and they make the same picture."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
from prompts import VAE_NAME, picture
from server import PromptRefused

import truetile
from truetile.converter.files import WorkflowFile
from truetile.converter.node_types import OURS, REPLACED

# The widgets of other packs cannot be asked for here.
STOCK = [name for name in REPLACED if name.startswith("VAE") and "_" not in name]
KINDS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")


def inputs_of(server, kind: str) -> dict[str, list]:
    info = server.get(f"/object_info/{kind}")[kind]["input"]
    return {**info.get("required", {}), **info.get("optional", {})}


def kind_of(entry: list) -> str:
    return "COMBO" if isinstance(entry[0], list) else entry[0]


@pytest.mark.parametrize("kind", OURS)
def test_our_nodes_are_as_the_converter_writes_them(server, kind) -> None:
    ours, known = OURS[kind], inputs_of(server, kind)
    widgets = {name: kind_of(entry) for name, entry in known.items() if kind_of(entry) in KINDS}
    assert list(ours.widgets) == list(widgets)
    for name, (widget, value) in ours.widgets.items():
        assert widget == widgets[name] and value == known[name][1]["default"]
    assert ours.sockets == {n: kind_of(e) for n, e in known.items() if n not in widgets}
    info = server.get(f"/object_info/{kind}")[kind]
    assert ours.outputs == list(zip(info["output_name"], info["output"], strict=True))


@pytest.mark.parametrize("kind", STOCK)
def test_stock_nodes_are_as_the_converter_reads_them(server, kind) -> None:
    known = inputs_of(server, kind)
    widgets = tuple(name for name, entry in known.items() if kind_of(entry) in KINDS)
    replacement = REPLACED[kind]
    assert replacement.widgets == widgets
    assert list(replacement.new.sockets) == [name for name in known if name not in widgets]
    info = server.get(f"/object_info/{kind}")[kind]
    assert replacement.title == info["display_name"]
    assert replacement.new.outputs[0][1] == info["output"][0]


def prompt(name: str) -> dict:
    """Encodes and decodes a picture with stock nodes; needs no model but the embedded VAE."""

    def node(kind: str, **inputs) -> dict:
        return {"class_type": kind, "inputs": inputs, "_meta": {"title": kind}}

    tiles = {"tile_size": 128, "overlap": 32, "temporal_size": 64, "temporal_overlap": 8}
    return {
        "1": node("LoadImage", image="example.png"),
        "2": node("ImageScale", image=["1", 0], upscale_method="area", width=192, height=128,
                  crop="center"),
        "3": node("VAELoader", vae_name=VAE_NAME),
        "4": node("VAEEncodeTiled", pixels=["2", 0], vae=["3", 0], **{**tiles, "tile_size": 320}),
        "5": node("VAEDecode", samples=["4", 0], vae=["3", 0]),
        "6": node("SaveImage", images=["5", 0], filename_prefix=name),
        "7": node("VAEDecodeTiled", samples=["4", 0], vae=["3", 0], **{**tiles, "tile_size": 320}),
        "8": node("SaveImage", images=["7", 0], filename_prefix=f"{name}_tiled"),
    }  # fmt: skip


def pictures(server, document: dict) -> list[np.ndarray]:
    outputs = server.run(document)
    return [picture(server.path_of(outputs[name]["images"][0])) for name in ("6", "8")]


@pytest.mark.parametrize(
    "options",
    [{}, {"wrap": True}, {"checkpoints": True, "budgets": {"decode": 4}}],
    ids=["replace", "wrap", "checkpoints"],
)
def test_a_converted_prompt_is_taken_and_makes_the_same_pictures(server, options) -> None:
    before = prompt("convert_" + "_".join(options))
    answer = server.post("/truetile/convert", {"workflow": before, **options})
    assert answer["changed"] and answer["steps"] and answer["format"] == "API prompt"
    stock, ours = pictures(server, before), pictures(server, answer["workflow"])
    for a, b in zip(stock, ours, strict=True):
        assert a.shape == b.shape and np.abs(a - b).max() <= 1, "one step of 8 bits: rounding"
    undone = server.post("/truetile/convert", {"workflow": answer["workflow"], "undo": True})
    assert undone["workflow"] == before


def test_pictures_that_comfyui_saves(server, tmp_path) -> None:
    before = prompt("convert_pictures")
    webp = {"images": ["5", 0], "filename_prefix": "convert_webp", "fps": 6.0, "lossless": True}
    webp |= {"quality": 80, "method": "default"}
    before["9"] = {"class_type": "SaveAnimatedWEBP", "inputs": webp}
    outputs = server.run(before)
    for name in ("6", "9"):
        path = server.path_of(outputs[name]["images"][0])
        out, back = tmp_path / f"out{path.suffix}", tmp_path / f"back{path.suffix}"
        WorkflowFile(path).convert(truetile.convert).write(out)
        (converted,) = WorkflowFile(out).texts.values()
        assert server.post("/probe/validate", json.loads(converted))["valid"]
        assert json.loads(converted)["5"]["class_type"] == "TrueTileVAEDecode"
        WorkflowFile(out).convert(truetile.undo).write(back)
        assert WorkflowFile(back).texts == WorkflowFile(path).texts
        assert (picture(back) == picture(path)).all()


def test_mistakes_come_back_as_text(server) -> None:
    wrong = {
        "'workflow'": {"workflow": 3},
        "wrap=1: must be true or false": {"workflow": {}, "wrap": 1},
        "with 'nodes', or an API prompt": {"workflow": {"a": 1}},
        "budget=load: the phase must be": {"workflow": prompt("x"), "budgets": {"load": 1}},
        "no record of a conversion": {"workflow": prompt("x"), "undo": True},
    }
    for message, body in wrong.items():
        with pytest.raises(PromptRefused) as caught:
            server.post("/truetile/convert", body)
        assert message in caught.value.body["error"]


def test_what_the_editor_sent_is_not_changed_by_being_looked_at(server) -> None:
    workflow = {"nodes": [], "links": [], "version": 0.4}
    answer = server.post("/truetile/convert", {"workflow": copy.deepcopy(workflow)})
    assert not answer["changed"] and answer["workflow"] == workflow
    assert truetile.convert(workflow).document == workflow
