"""The example workflows: small ones run on the embedded VAE, large ones are taken."""

from __future__ import annotations

import json
import sys

import pytest
from server import REPOSITORY, ComfyServer

WORKFLOWS = sorted((REPOSITORY / "example_workflows").glob("*.json"))
VIRTUAL = {"MarkdownNote", "Note"}
NAMES = {path.stem for path in WORKFLOWS}
# Those that need models of their own have a small twin that does not.
LARGE = [path for path in WORKFLOWS if f"{path.stem}_small" in NAMES]
SMALL = [path for path in WORKFLOWS if path not in LARGE]


def test_there_is_one_for_each_purpose():
    large = {"sdxl_image", "wan_text_to_video", "wan_image_to_video", "seven_phases"}
    assert {path.stem for path in LARGE} == large
    assert {"truetile_image", "truetile_video"} <= NAMES


@pytest.mark.parametrize("path", LARGE, ids=lambda path: path.stem)
def test_a_large_one_is_taken(server, path):
    """ComfyUI's own checks of its prompt find nothing, once its models are there."""
    sys.path.insert(0, str(REPOSITORY / "tools"))
    from workflow_prompts import MODELS

    server.pretend_models(MODELS)
    prompt = to_prompt(json.loads(path.read_text(encoding="utf-8")), server)
    answer = server.post("/probe/validate", prompt)
    assert answer["valid"] and not answer["nodes"], answer


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_has_a_picture(path):
    assert path.with_suffix(".jpg").stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.stem)
def test_runs_as_it_is(server, path):
    workflow = json.loads(path.read_text(encoding="utf-8"))
    outputs = server.run(to_prompt(workflow, server), timeout=600)
    files = [entry for out in outputs.values() for entry in out.get("images", [])]
    assert files, outputs
    assert all(server.path_of(entry).stat().st_size > 1000 for entry in files)
    reports = [line for out in outputs.values() for line in out.get("text", [])]
    if any(node["type"] == "TrueTileVAEDecode" for node in workflow["nodes"]):
        assert any("TrueTile decode" in text for text in reports), outputs
    checkpoints = [node for node in workflow["nodes"] if node["type"] == "MemoryCheckpoint"]
    assert sum("TrueTile memory checkpoint" in text for text in reports) == len(checkpoints)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_is_tidy(path):
    """Links agree in all three places, ids count up, and no node lies on another."""
    workflow = json.loads(path.read_text(encoding="utf-8"))
    nodes = {node["id"]: node for node in workflow["nodes"]}
    assert workflow["version"] == 0.4
    assert workflow["last_node_id"] == max(nodes)
    assert workflow["last_link_id"] == max(link[0] for link in workflow["links"])
    for identity, source, out, target, slot, kind in workflow["links"]:
        assert identity in nodes[source]["outputs"][out]["links"]
        assert nodes[target]["inputs"][slot]["link"] == identity
        assert nodes[source]["outputs"][out]["type"] in (kind, "*")
    boxes = [(*node["pos"], *node["size"]) for node in workflow["nodes"]]
    for i, (ax, ay, aw, ah) in enumerate(boxes):
        for bx, by, bw, bh in boxes[i + 1 :]:
            apart = ax + aw <= bx or bx + bw <= ax or ay + ah + 30 <= by or by + bh + 30 <= ay
            assert apart, "two nodes overlap (a title bar is 30 pixels high)"


def to_prompt(workflow: dict, server: ComfyServer) -> dict:
    """The API form of a UI workflow without subgraphs, reroutes or dynamic inputs."""
    links = {link[0]: [str(link[1]), link[2]] for link in workflow["links"]}
    prompt = {}
    for node in workflow["nodes"]:
        if node["type"] in VIRTUAL:
            continue
        info = server.get(f"/object_info/{node['type']}")[node["type"]]["input"]
        known = {**info.get("required", {}), **info.get("optional", {})}
        widgets = [name for name, entry in known.items() if _has_widget(entry)]
        # Trailing values belong to buttons of the editor, such as an upload button.
        inputs = dict(zip(widgets, node.get("widgets_values", []), strict=False))
        # With names there is no guessing which value is a button's.
        named = node.get("widgets_values_named", {})
        inputs |= {name: value for name, value in named.items() if name.split(".")[0] in known}
        for slot in node["inputs"]:
            if slot["link"] is not None:
                inputs[slot["name"]] = links[slot["link"]]
        prompt[str(node["id"])] = {"class_type": node["type"], "inputs": inputs}
    return prompt


def _has_widget(entry: list) -> bool:
    kind = entry[0]
    return isinstance(kind, list) or kind in ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
