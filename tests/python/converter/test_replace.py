"""Nodes replaced in every format: what changes, and that nothing else does."""

from __future__ import annotations

import copy
import json

import pytest
from converter.builders import Ui, all_nodes, api_prompt, text_to_image, with_subgraph

import truetile
from truetile.converter import consistency

SIZES = [768, 96, 32, 4]


def converted(document, **options):
    """The conversion, after the promises that hold for every one of them."""
    given = copy.deepcopy(document)
    done = truetile.convert(document, **options)
    assert document == given, "the document that was given is not touched"
    assert done.changed
    assert consistency.problems(done.document) == consistency.problems(document) == set()
    assert truetile.undo(done.document).document == document
    assert not truetile.convert(done.document, **options).changed
    return done


def node_of(done, node_id: int) -> dict:
    return next(node for node in done.document["nodes"] if node["id"] == node_id)


@pytest.mark.parametrize("objects", [False, True], ids=["0.4", "1.0"])
@pytest.mark.parametrize(
    ("old", "new", "values"),
    [
        ("VAEDecode", "TrueTileVAEDecode", [512, 64, 64, 8]),
        ("VAEDecodeTiled", "TrueTileVAEDecode", SIZES),
    ],
)
def test_a_decode(objects, old, new, values) -> None:
    before = text_to_image(objects, decode=old).document()
    done = converted(before)
    assert done.format == ("UI 1.0" if objects else "UI 0.4")
    (step,) = done.steps
    assert step.text == f"{old} -> {new}"
    (node,) = [node for node in done.document["nodes"] if node["type"] == new]
    (was,) = [node for node in before["nodes"] if node["id"] == node["id"] and node["type"] == old]
    assert node["id"] == was["id"] and node["inputs"] == was["inputs"]
    assert node["outputs"][:1] == was["outputs"]
    assert node["outputs"][1:] == [{"name": "report", "type": "STRING", "links": None}]
    assert node["widgets_values"] == ["auto", 0, *values]
    assert node["properties"]["Node name for S&R"] == new
    assert node["properties"]["cnr_id"] == "truetile"
    assert node["properties"]["ver"] == truetile.__version__
    rest = [n for n in done.document["nodes"] if n is not node]
    assert rest == [n for n in before["nodes"] if n["type"] != old]
    kept = {k: v for k, v in done.document.items() if k not in ("nodes", "extra")}
    assert kept == {k: v for k, v in before.items() if k not in ("nodes", "extra")}
    assert done.document["extra"]["ds"] == before["extra"]["ds"]


@pytest.mark.parametrize("encode", ["VAEEncode", "VAEEncodeTiled"])
def test_an_encode(encode) -> None:
    done = converted(text_to_image(encode=encode).document())
    assert [step.text for step in done.steps] == [
        f"{encode} -> TrueTileVAEEncode",
        "VAEDecode -> TrueTileVAEDecode",
    ]


def test_an_api_prompt() -> None:
    before = api_prompt("VAEDecodeTiled", tile_size=768, overlap=96)
    done = converted(before)
    assert done.format == "API prompt"
    entry = done.document["8:2"]
    assert entry["class_type"] == "TrueTileVAEDecode"
    assert entry["inputs"] == {
        "samples": ["3", 0], "vae": ["4", 2], "tile_size": 768, "overlap": 96,
        "mode": "auto", "budget_gib": 0, "temporal_size": 64, "temporal_overlap": 8,
    }  # fmt: skip
    assert {k: v for k, v in done.document.items() if k != "8:2"} == {
        k: v for k, v in before.items() if k != "8:2"
    }


def test_an_input_that_comes_over_a_wire_stays_one() -> None:
    before = api_prompt("VAEDecodeTiled", tile_size=["5", 0])
    assert converted(before).document["8:2"]["inputs"]["tile_size"] == ["5", 0]


@pytest.mark.parametrize("objects", [False, True], ids=["0.4", "1.0"])
def test_nested_subgraphs_with_two_instances(objects) -> None:
    done = converted(with_subgraph(objects))
    assert [(step.where, step.text) for step in done.steps] == [
        ("Decode", "VAEDecodeTiled -> TrueTileVAEDecode"),
        ("Encode", "VAEEncode -> TrueTileVAEEncode"),
    ]


@pytest.mark.parametrize("mode", [2, 4])
def test_muted_and_bypassed_nodes_stay_so(mode) -> None:
    ui = text_to_image()
    next(node for node in ui.nodes if node["type"] == "VAEDecode")["mode"] = mode
    done = converted(ui.document())
    assert [n["mode"] for n in all_nodes(done.document) if n["type"] == "TrueTileVAEDecode"] == [
        mode
    ]


def test_a_widget_that_is_an_input_keeps_its_wire() -> None:
    ui = text_to_image(decode="VAEDecodeTiled")
    decode = next(node for node in ui.nodes if node["type"] == "VAEDecodeTiled")
    slot = {"name": "tile_size", "type": "INT", "widget": {"name": "tile_size"}, "link": None}
    decode["inputs"].append(slot)
    link = ui.link(ui.add("PrimitiveNode"), 0, decode["id"], "tile_size")
    done = converted(ui.document())
    node = node_of(done, decode["id"])
    assert node["inputs"][2] == {**slot, "link": link}
    assert node["widgets_values"] == ["auto", 0, *SIZES]


def test_reroutes_stay_in_the_way() -> None:
    ui = text_to_image()
    decode = next(node for node in ui.nodes if node["type"] == "VAEDecode")
    reroute, save = ui.add("Reroute"), ui.add("SaveImage")
    ui.link(decode["id"], 0, reroute, "")
    ui.link(reroute, 0, save, "images")
    before = ui.document()
    done = converted(before)
    assert done.document["links"] == before["links"]


def test_the_twins_of_other_packs() -> None:
    ui = text_to_image(decode="VHS_VAEDecodeBatched")
    decode = next(node for node in ui.nodes if node["type"] == "VHS_VAEDecodeBatched")
    decode["widgets_values"] = {"per_batch": 16}
    widget = {"name": "per_batch", "type": "INT", "widget": {"name": "per_batch"}, "link": None}
    decode["inputs"].insert(0, widget)
    for link in ui.links:
        if link[3] == decode["id"]:
            link[4] += 1
    done = converted(ui.document())
    node = node_of(done, decode["id"])
    assert [slot["name"] for slot in node["inputs"]] == ["samples", "vae"]
    assert node["widgets_values"] == ["auto", 0, 512, 64, 64, 8]


def test_a_twin_whose_own_widget_is_wired_stays() -> None:
    ui = Ui()
    widget = {"name": "per_batch", "type": "INT", "widget": {"name": "per_batch"}, "link": None}
    node = ui.add("VHS_VAEDecodeBatched", inputs=[widget])
    ui.link(ui.add("PrimitiveNode"), 0, node, "per_batch")
    done = truetile.convert(ui.document())
    assert not done.changed and "per_batch comes over a wire" in done.notes[0]


def test_tiles_are_carried_over_within_the_limits() -> None:
    prompt = api_prompt("VAEDecodeTiled_TiledDiffusion", tile_size=8192, fast=True)
    inputs = converted(prompt).document["8:2"]["inputs"]
    assert inputs["tile_size"] == 4096 and "fast" not in inputs


def test_titles() -> None:
    ui = text_to_image()
    decode = next(node for node in ui.nodes if node["type"] == "VAEDecode")
    for title, becomes in [("VAE Decode", "TrueTile VAE Decode"), ("Mine", "Mine")]:
        decode["title"] = title
        done = converted(ui.document())
        assert (
            next(n for n in done.document["nodes"] if n["id"] == decode["id"])["title"] == becomes
        )


def test_old_group_nodes_stay_and_are_told() -> None:
    ui = text_to_image()
    ui.add("workflow>upscale")
    groups = {"upscale": {"nodes": [{"type": "VAEEncode", "index": 0}], "links": []}}
    before = ui.document(extra={"groupNodes": groups})
    done = converted(before)
    assert done.document["extra"]["groupNodes"] == groups
    assert "group node 'upscale' stays, with VAEEncode in it" in done.notes[0]


def test_nothing_to_do_is_told_and_changes_nothing() -> None:
    ui = Ui()
    ui.add("MarkdownNote")
    text = json.dumps(ui.document())
    done = truetile.convert(text)
    assert not done.changed and done.text == text and not done.steps


def test_a_taller_node_covers_no_other() -> None:
    ui = text_to_image()
    decode = next(node for node in ui.nodes if node["type"] == "VAEDecode")
    below = ui.add("SaveImage", pos=[decode["pos"][0], decode["pos"][1] + 90], size=[300, 200])
    done = converted(ui.document())
    (x, y), (w, h) = (node_of(done, decode["id"])[name] for name in ("pos", "size"))
    assert h >= 2 * 20 + 6 * 24
    for node in done.document["nodes"]:
        if node["id"] != decode["id"]:
            (a, b), (c, d) = node["pos"], node["size"]
            assert x + w <= a or a + c <= x or y + h <= b - 30 or b + d <= y - 30
    assert (
        next(n for n in done.document["nodes"] if n["id"] == below)["pos"] == ui.node(below)["pos"]
    )


def test_a_node_that_will_show_a_picture_has_room_for_it() -> None:
    """Saved before the first run it is low, and the grown decode would stand in its picture."""
    ui = text_to_image()
    decode = next(node for node in ui.nodes if node["type"] == "VAEDecode")
    x, y = decode["pos"]
    ui.add("PreviewImage", pos=[x + decode["size"][0] + 20, y - 130], size=[210, 58])
    done = converted(ui.document())
    (x, y), (w, _) = (node_of(done, decode["id"])[name] for name in ("pos", "size"))
    shown = next(node for node in done.document["nodes"] if node["type"] == "PreviewImage")
    (a, b), (c, _) = shown["pos"], shown["size"]
    assert x + w <= a or a + c <= x or y - 30 >= b + 300


def test_everything_else_keeps_its_bytes() -> None:
    text = json.dumps(text_to_image().document(), indent=4, ensure_ascii=True)
    text = text.replace("8.0", "8.00").replace("0.75", "75E-2").replace("[\n", "[ \n")
    done = truetile.convert(text)
    before, after = text.splitlines(), done.text.splitlines()
    assert [line for line in before if line not in after] and truetile.undo(done.text).text == text
    assert sum(line not in after for line in before) < 12
    assert json.loads(done.text) == done.document
    assert "8.00" in done.text and "75E-2" in done.text and "18446744073709551615" in done.text
