"""Nodes inserted: TrueTileVAE behind loaders, MemoryCheckpoint between phases."""

from __future__ import annotations

import itertools

import pytest
from converter.builders import Ui, all_nodes, api_prompt, text_to_image, with_subgraph
from converter.test_replace import converted

import truetile
from truetile.converter.node_types import CHECKPOINT, WRAP

OBJECTS = pytest.mark.parametrize("objects", [False, True], ids=["0.4", "1.0"])


def wire_into(document: dict, node: dict, name: str) -> tuple[int, int]:
    """Source node and slot of an input."""
    link = next(slot["link"] for slot in node["inputs"] if slot["name"] == name)
    for row in document["links"]:
        if isinstance(row, dict) and row["id"] == link:
            return row["origin_id"], row["origin_slot"]
        if isinstance(row, list) and row[0] == link:
            return row[1], row[2]
    raise AssertionError(f"link {link} is missing")


def of_type(document: dict, kind: str) -> list[dict]:
    return [node for node in all_nodes(document) if node["type"] == kind]


def no_overlap(document: dict, new_types: tuple[str, ...]) -> None:
    boxes = [(n["type"], *n["pos"], *n["size"]) for n in document["nodes"]]
    for (t, x, y, w, h), (u, a, b, c, d) in itertools.combinations(boxes, 2):
        apart = x + w <= a or a + c <= x or y + h <= b - 30 or b + d <= y - 30
        assert apart or not {t, u} & set(new_types), (t, u)


@OBJECTS
def test_a_wrapped_loader_feeds_all_who_had_it(objects) -> None:
    before = text_to_image(objects, encode="VAEEncode").document()
    done = converted(before, wrap=True)
    (wrapper,) = of_type(done.document, WRAP.type)
    loader = of_type(done.document, "CheckpointLoaderSimple")[0]["id"]
    assert wire_into(done.document, wrapper, "vae") == (loader, 2)
    for kind in ("VAEDecode", "VAEEncode"):
        (node,) = of_type(done.document, kind)
        assert wire_into(done.document, node, "vae") == (wrapper["id"], 0)
    assert wrapper["widgets_values"] == ["auto", 0, 512, 64, 64, 8]
    assert [step.text for step in done.steps] == [
        f"TrueTileVAE behind CheckpointLoaderSimple (node {loader})"
    ]
    no_overlap(done.document, (WRAP.type,))


def test_counters_and_ids() -> None:
    before = text_to_image().document(last_node_id=70, last_link_id=90)
    done = converted(before, wrap=True).document
    assert done["last_node_id"] == 71 and of_type(done, WRAP.type)[0]["id"] == 71
    assert done["last_link_id"] == 91 == max(row[0] for row in done["links"])
    nested = converted(with_subgraph(), checkpoints=True).document
    ids = [node["id"] for node in all_nodes(nested)]
    assert len(ids) == len(set(ids)) and nested["last_node_id"] == max(ids)
    inner = nested["definitions"]["subgraphs"][0]["state"]
    assert inner["lastNodeId"] == max(
        n["id"] for n in nested["definitions"]["subgraphs"][0]["nodes"]
    )


def test_vaes_that_are_not_for_pictures_stay() -> None:
    ui = Ui()
    loader, decode = ui.add("VAELoader"), ui.add("VAEDecodeAudio")
    ui.link(loader, 0, decode, "vae")
    assert not truetile.convert(ui.document(), wrap=True).changed


def test_a_wrapped_api_prompt() -> None:
    done = converted(api_prompt(), wrap=True)
    assert done.document["8:2"]["inputs"]["vae"] == ["10", 0]
    assert done.document["10"] == {
        "inputs": {"vae": ["4", 2], "mode": "auto", "budget_gib": 0, "tile_size": 512,
                   "overlap": 64, "temporal_size": 64, "temporal_overlap": 8},
        "class_type": "TrueTileVAE",
        "_meta": {"title": "TrueTile VAE", "truetile": done.document["10"]["_meta"]["truetile"]},
    }  # fmt: skip


def phases_of(document: dict) -> list[str]:
    return sorted(node["widgets_values"][0] for node in of_type(document, CHECKPOINT.type))


@OBJECTS
def test_checkpoints_between_the_phases(objects) -> None:
    before = text_to_image(objects, encode="VAEEncode").document()
    done = converted(before, checkpoints=True).document
    # Two prompts and a picture are encoded independently: the last checkpoint is after all.
    assert phases_of(done) == [
        "decode",
        "encode",
        "sample",
        "sample",
        "sample",
        "save",
        "text encode",
    ]
    no_overlap(done, (CHECKPOINT.type,))
    (save,) = of_type(done, "SaveImage")
    last = next(n for n in done["nodes"] if n["id"] == wire_into(done, save, "images")[0])
    assert last["type"] == CHECKPOINT.type and last["widgets_values"][0] == "save"
    texts = [wire_into(done, node, "clip") for node in of_type(done, "CLIPTextEncode")]
    assert texts[0] == texts[1], "one checkpoint is before both text encodes"


def test_each_sampler_is_a_phase() -> None:
    ui = text_to_image()
    first = next(node for node in ui.nodes if node["type"] == "KSampler")
    second = ui.add("KSampler")
    for name in ("model", "positive", "negative"):
        slot = next(s for s in first["inputs"] if s["name"] == name)
        source = next(row for row in ui.links if row[0] == slot["link"])
        ui.link(source[1], source[2], second, name)
    ui.link(first["id"], 0, second, "latent_image")
    done = converted(ui.document(), checkpoints=True).document
    node = next(n for n in done["nodes"] if n["id"] == second)
    between = next(n for n in done["nodes"] if n["id"] == wire_into(done, node, "latent_image")[0])
    assert between["type"] == CHECKPOINT.type
    assert wire_into(done, between, "anything") == (first["id"], 0)
    # The first sampler's latent goes on to its decode without that checkpoint.
    decode = of_type(done, "TrueTileVAEDecode")[0]
    other = next(n for n in done["nodes"] if n["id"] == wire_into(done, decode, "samples")[0])
    assert other is not between and other["widgets_values"][0] == "decode"


def test_checkpoints_of_an_api_prompt() -> None:
    done = converted(api_prompt(), checkpoints=True, budgets={"sample": 4})
    phases = {
        entry["inputs"]["phase"]: (entry["inputs"]["action"], entry["inputs"]["may_stay_gib"])
        for entry in done.document.values()
        if entry["class_type"] == CHECKPOINT.type
    }
    assert phases == {
        "text encode": ("observe", 0), "sample": ("offload", 4), "decode": ("observe", 0),
        "save": ("observe", 0),
    }  # fmt: skip


@pytest.mark.parametrize("mode", [2, 4])
@pytest.mark.parametrize("kind", ["KSampler", "VAEDecode", "SaveImage"])
def test_nodes_that_do_not_run_are_no_phase(mode, kind) -> None:
    ui = text_to_image()
    phase = {"KSampler": "sample", "VAEDecode": "decode", "SaveImage": "save"}[kind]
    next(node for node in ui.nodes if node["type"] == kind)["mode"] = mode
    done = converted(ui.document(), checkpoints=True)
    assert phase not in phases_of(done.document)
    assert phase in phases_of(converted(text_to_image().document(), checkpoints=True).document)


def test_a_checkpoint_never_waits_for_a_muted_node() -> None:
    """Its input must be there, while the input of the node behind it may be optional."""
    ui = text_to_image(encode="VAEEncode")
    next(node for node in ui.nodes if node["type"] == "LoadImage")["mode"] = 2
    done = converted(ui.document(), checkpoints=True)
    assert "encode" not in phases_of(done.document)


def test_a_subgraph_is_a_phase_before_the_save() -> None:
    done = converted(with_subgraph(), checkpoints=True)
    places = {
        (step.where, step.text.rpartition(" ")[2]) for step in done.steps if "Memory" in step.text
    }
    assert places == {("", "'save'"), ("Decode", "'decode'"), ("Encode", "'encode'")}


def test_pictures_that_only_pass_are_no_phase() -> None:
    ui = Ui()
    ui.link(ui.add("LoadImage"), 0, ui.add("SaveImage"), "images")
    done = truetile.convert(ui.document(), budgets={"save": 1})
    assert not done.changed
    assert done.notes == ("budget of 'save': no checkpoint was inserted before such a phase",)


def test_native_reroutes_stay_with_the_near_half() -> None:
    ui = text_to_image(objects=True, encode="VAEEncode")
    vae = [row for row in ui.links if row["type"] == "VAE"]
    for row in vae:
        row["parentId"] = 1
    reroute = {"id": 1, "pos": [5, 5], "linkIds": [row["id"] for row in vae]}
    before = ui.document(reroutes=[reroute])
    done = converted(before, wrap=True).document
    near = [row for row in done["links"] if row.get("parentId") == 1]
    assert [row["id"] for row in near] == done["reroutes"][0]["linkIds"] == [vae[0]["id"]]
    assert near[0]["target_id"] == of_type(done, WRAP.type)[0]["id"]


def test_native_reroutes_of_format_0_4() -> None:
    ui = text_to_image(encode="VAEEncode")
    vae = [row[0] for row in ui.links if row[5] == "VAE"]
    extra = {
        "reroutes": [{"id": 1, "pos": [5, 5], "linkIds": vae}],
        "linkExtensions": [{"id": link, "parentId": 1} for link in vae],
    }
    done = converted(ui.document(extra=extra), wrap=True).document["extra"]
    assert done["linkExtensions"] == [{"id": vae[0], "parentId": 1}]
    assert done["reroutes"][0]["linkIds"] == vae[:1]


def test_a_reroute_is_seen_through() -> None:
    ui = text_to_image()
    reroute = ui.add("Reroute")
    sampler = next(node for node in ui.nodes if node["type"] == "KSampler")["id"]
    decode = next(node for node in ui.nodes if node["type"] == "VAEDecode")
    row = next(row for row in ui.links if row[0] == decode["inputs"][0]["link"])
    ui.node(sampler)["outputs"][0]["links"].clear()
    ui.links.remove(row)
    ui.link(sampler, 0, reroute, "")
    ui.links[-1][0] = row[0]
    ui.node(reroute)["inputs"][0]["link"] = row[0]
    ui.node(sampler)["outputs"][0]["links"] = [row[0]]
    ui.link(reroute, 0, decode["id"], "samples")
    done = converted(ui.document(), checkpoints=True).document
    assert phases_of(done).count("decode") == 1
