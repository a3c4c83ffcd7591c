"""The way back, also for a workflow that was edited and saved in between."""

from __future__ import annotations

import copy

import pytest
from converter.builders import api_prompt, text_to_image, with_subgraph

import truetile
from truetile import WorkflowError
from truetile.converter import consistency


@pytest.mark.parametrize("extra", [None, {}, {"ds": {"scale": 1}}, "absent"])
def test_the_record_leaves_no_trace(extra) -> None:
    before = text_to_image().document()
    if extra == "absent":
        del before["extra"]
    else:
        before["extra"] = extra
    done = truetile.convert(before)
    assert "truetile" in done.document["extra"]
    assert truetile.undo(done.document).document == before


@pytest.mark.parametrize("meta", [{"title": "x"}, {}, None, "absent"])
def test_the_record_in_an_api_prompt_leaves_no_trace(meta) -> None:
    before = api_prompt()
    for entry in before.values():
        if meta == "absent":
            del entry["_meta"]
        else:
            entry["_meta"] = meta
    done = truetile.convert(before)
    assert done.document["8:2"]["_meta"]["truetile"]
    assert truetile.undo(done.document).document == before


def test_several_conversions_are_taken_back_at_once() -> None:
    before = with_subgraph()
    once = truetile.convert(before).document
    twice = truetile.convert(once, wrap=True).document
    thrice = truetile.convert(twice, checkpoints=True).document
    assert thrice != twice and truetile.undo(thrice).document == before


def test_an_edit_in_between_stays() -> None:
    before = text_to_image().document()
    edited = truetile.convert(before).document
    node = next(n for n in edited["nodes"] if n["type"] == "TrueTileVAEDecode")
    node["pos"] = [1, 2]
    node["size"] = [999, 999]
    edited["extra"]["ds"] = {"scale": 3}
    undone = truetile.undo(edited)
    back = next(n for n in undone.document["nodes"] if n["id"] == node["id"])
    assert back["type"] == "VAEDecode" and back["pos"] == [1, 2] and back["size"] == [999, 999]
    assert undone.document["extra"] == {"ds": {"scale": 3}}
    assert [note.split(":")[0] for note in undone.notes] == ["nodes[5].size"]


def test_a_widget_that_was_changed_in_between_goes_back_with_its_node() -> None:
    before = text_to_image(decode="VAEDecodeTiled").document()
    edited = truetile.convert(before).document
    node = next(n for n in edited["nodes"] if n["type"] == "TrueTileVAEDecode")
    node["widgets_values"][2] = 1024
    undone = truetile.undo(edited)
    assert undone.document == before
    assert "widgets_values: was changed since, and is as before" in undone.notes[0]


@pytest.mark.parametrize("options", [{}, {"wrap": True}, {"checkpoints": True}])
def test_an_editor_that_saves_in_another_format(options) -> None:
    """The editor reads 1.0 and writes 0.4: links as arrays, counters of its own, more of it."""
    before = text_to_image(objects=True).document()
    saved = truetile.convert(before, **options).document
    saved["links"] = [list(row.values()) for row in saved["links"]]
    saved["last_node_id"] = saved["state"]["lastNodeId"] + 4
    del saved["state"]
    undone = truetile.undo(saved)
    assert undone.notes == ()
    assert undone.document["nodes"] == before["nodes"]
    assert undone.document["links"] == [list(row.values()) for row in before["links"]]


def test_a_node_that_was_deleted_in_between_stays_away() -> None:
    edited = truetile.convert(text_to_image().document()).document
    gone = next(n for n in edited["nodes"] if n["type"] == "TrueTileVAEDecode")["id"]
    edited["nodes"] = [n for n in edited["nodes"] if n["id"] != gone]
    undone = truetile.undo(edited)
    assert undone.notes == (f"nodes: {gone} is gone since, and stays so",)
    assert all(n["id"] != gone for n in undone.document["nodes"])


def test_what_was_never_converted() -> None:
    with pytest.raises(WorkflowError, match="has no record of a conversion to undo"):
        truetile.undo(text_to_image().document())


@pytest.mark.parametrize("record", [[1], [{"keys": 3}], [{"keys": {"nodes": {"items": [[1]]}}}]])
def test_a_damaged_record_is_told(record) -> None:
    done = truetile.convert(text_to_image().document()).document
    done["extra"]["truetile"]["undo"] = record
    given = copy.deepcopy(done)
    with pytest.raises(WorkflowError, match="the record of the conversion is damaged"):
        truetile.undo(done)
    assert done == given


def test_a_record_is_no_way_to_a_broken_document() -> None:
    done = truetile.convert(text_to_image().document()).document
    done["extra"]["truetile"]["undo"] = [{"keys": {"nodes": {"added": True}}}]
    with pytest.raises(WorkflowError, match="damaged"):
        truetile.undo(done)


def test_links_to_what_goes_are_cleared_away() -> None:
    edited = truetile.convert(text_to_image().document(), wrap=True).document
    wrapper = next(n for n in edited["nodes"] if n["type"] == "TrueTileVAE")
    decode = next(n for n in edited["nodes"] if n["type"] == "VAEDecodeAudio" or n["id"] == 8)
    copied = copy.deepcopy(decode)
    copied.update(id=99, inputs=[{"name": "vae", "type": "VAE", "link": 50}], outputs=[])
    edited["nodes"].append(copied)
    edited["links"].append([50, wrapper["id"], 0, 99, 0, "VAE"])
    wrapper["outputs"][0]["links"].append(50)
    assert not consistency.problems(edited)
    undone = truetile.undo(edited).document
    assert not consistency.problems(undone)
    assert next(n for n in undone["nodes"] if n["id"] == 99)["inputs"][0]["link"] is None
