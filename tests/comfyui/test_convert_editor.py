"""Converted workflows in ComfyUI's own editor: it loads them, and ComfyUI takes their prompts.

The official templates are the workflows. A few of them are tried; TRUETILE_TEMPLATES_EVERY=1 tries
every one that a conversion changes, which takes most of an hour.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Iterator

import pytest
from browser import CHROMIUM, Editor
from server import REPOSITORY

import truetile
from truetile.converter.node_types import OURS

WORKFLOWS = sorted((REPOSITORY / "example_workflows").glob("*.json"))
EVERY = int(os.environ.get("TRUETILE_TEMPLATES_EVERY", "40"))
MODES = {
    "checkpoints": {"checkpoints": True, "budgets": {"sample": 4}},
    "wrap": {"wrap": True},
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


@pytest.fixture(scope="module")
def templates():
    """The module that finds the templates."""
    pytest.importorskip("comfyui_workflow_templates_json")
    path = REPOSITORY / "tools" / "convert_templates.py"
    spec = importlib.util.spec_from_file_location("convert_templates", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def editor(server, tmp_path_factory):
    sys.path.insert(0, str(REPOSITORY / "tools"))
    from workflow_prompts import MODELS

    server.pretend_models(MODELS)  # before the editor comes up: it asks once for what there is
    url = server.address
    with Editor(url, tmp_path_factory.mktemp("chromium")) as running:
        yield running


def errors(server, prompt: dict) -> tuple[object, dict]:
    """What ComfyUI has against a prompt: most templates ask for models that are not there."""
    answer = server.post("/probe/validate", prompt)
    return (answer["error"] or {}).get("type"), answer["nodes"]


def distinct(document: dict, templates) -> bool:
    """Whether no id is there twice: the editor gives doubles new ids, which then differ."""
    nodes = [node["id"] for _, graph in templates.graphs(document) for node in graph["nodes"]]
    return len(set(nodes)) == len(nodes)


@pytest.mark.parametrize("mode", MODES)
def test_templates(server, editor, templates, mode) -> None:
    changing = [
        (name, document)
        for name, text in templates.templates()
        if distinct(document := json.loads(text), templates)
        and truetile.convert(document, **MODES[mode]).changed
    ]
    wrong = []
    for name, document in changing[::EVERY]:
        before = editor.prompt_of(document)
        found = errors(server, before["output"])
        # The editor gives nodes that are not installed no type.
        if all(node.get("class_type") for node in before["output"].values()):
            wrong += [f"{name}: {line}" for line in api_differences(server, before["output"], mode)]
        for version in (document, templates.as_version_1(document)):
            done = truetile.convert(version, **MODES[mode]).document
            after = editor.prompt_of(done)
            wrong += [f"{name}: {line}" for line in differences(before, after)]
            if errors(server, after["output"]) != found:
                wrong.append(f"{name}: {errors(server, after['output'])}, were {found}")
            # What the editor saves still has its way back.
            undone = truetile.undo(after["workflow"]).document
            again = editor.prompt_of(undone)["output"]
            # Old editors lose values of new subgraphs whenever they save and load: then as they do.
            if again != before["output"] and again != saved_again(editor, before):
                wrong.append(f"{name}: the way back gives another prompt")
    print(f"{mode}: {len(changing[::EVERY])} templates, each as 0.4 and 1.0")
    assert changing and not wrong, "\n".join(wrong)


def saved_again(editor, before: dict) -> dict:
    """The prompt of a workflow that the editor has saved once and loaded again."""
    return editor.prompt_of(before["workflow"])["output"]


def api_differences(server, prompt: dict, mode: str) -> Iterator[str]:
    """The same for the API prompt that the editor has made of the workflow."""
    done = truetile.convert(prompt, **MODES[mode])
    if done.changed and truetile.undo(done.document).document != prompt:
        yield "the way back from the API prompt is another"
    if errors(server, done.document) != errors(server, prompt):
        yield f"API prompt: {errors(server, done.document)}, were {errors(server, prompt)}"


def differences(before: dict, after: dict) -> Iterator[str]:
    """What a conversion must not do to what the editor makes of a workflow."""
    old, new = before["output"], after["output"]
    if old.keys() - new.keys():
        yield f"nodes are lost: {old.keys() - new.keys()}"
    if others := {new[name]["class_type"] for name in new.keys() - old.keys()} - OURS.keys():
        yield f"other nodes than ours came: {others}"
    if after["missing"] != before["missing"]:
        yield f"red nodes: {after['missing']}, were {before['missing']}"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_example_workflows_have_no_red_node(server, editor, path) -> None:
    found = editor.prompt_of(json.loads(path.read_text(encoding="utf-8")))
    assert not found["missing"]
    assert server.post("/probe/validate", found["output"])["valid"]
