"""A ComfyUI of its own for each file of tests, with its editor in a browser and the panel open."""

from __future__ import annotations

import json

import pytest
from browser import Editor
from panel_page import PanelPage
from server import REPOSITORY, ComfyServer, python_of_comfyui

RUNS = json.loads((REPOSITORY / "example_workflows" / "seven_phases_small.json").read_text())
_LAST = "checkpoint: save"  # in the panel when they are done


@pytest.fixture(scope="module")
def server(comfyui, tmp_path_factory):
    """One of its own: no checkpoint of another test may have begun to sample in it."""
    base = tmp_path_factory.mktemp("comfyui") / "base"
    running = ComfyServer(comfyui, python_of_comfyui(), base)
    try:
        running.start()
        # No dialog for new users before the page.
        running.post("/settings", {"Comfy.TutorialCompleted": True})
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def editor(server, tmp_path_factory):
    with Editor(server.address, tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.fixture
def panel(editor):
    """The panel, closed again after the test, which must leave no error on the console."""
    before = len(editor.errors())
    page = PanelPage(editor)
    page.toggle(True)
    yield page
    page.toggle(False)
    # The workflow that the editor begins with names models, which it asks the internet about.
    assert [e for e in editor.errors()[before:] if "missingModelMetadata" not in e] == []


@pytest.fixture
def panel_of_runs(panel):
    """The panel of a server that has decoded, encoded and saved checkpoints."""
    if _LAST not in panel.text():
        panel.run(RUNS)
        panel.wait_for(f"document.querySelector('.truetile-panel').innerText.includes('{_LAST}')")
    return panel
