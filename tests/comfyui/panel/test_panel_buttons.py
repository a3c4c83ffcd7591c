"""What the panel's buttons do."""

from __future__ import annotations

import pytest
from browser import CHROMIUM

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


def test_convert_opens_the_converted_workflow_beside_the_original(panel):
    editor = panel.editor
    editor.call(_STOCK_WORKFLOW)
    tabs = "app.extensionManager.workflow.openWorkflows.length"
    types = "async () => app.graph.nodes.map((node) => node.type)"
    before, count = editor.call(types), editor.call(f"async () => {tabs}")
    said = panel.press("Convert workflow")
    after = editor.call(types)
    assert "VAEDecode -> TrueTileVAEDecode" in said
    assert "VAEDecode" in before and "VAEDecode" not in after
    assert "TrueTileVAEDecode" in after and "MemoryCheckpoint" not in after
    assert editor.call(f"async () => {tabs}") == count + 1
    assert panel.press("Convert workflow").startswith("Nothing to convert here.")
    editor.call(_STOCK_WORKFLOW)
    editor.call("async () => document.querySelector('.truetile-panel input').click()")
    panel.press("Convert workflow")
    assert "MemoryCheckpoint" in editor.call(types)


def test_verify_offload_gives_a_verdict(panel):
    said = panel.press("Verify offload")
    assert said.startswith("PASS")
    assert "nothing to offload: without a GPU" in said
    panel.wait_for("document.querySelector('.truetile-panel').innerText.includes('offload: asked')")


def test_free_memory_measures_each_step(panel):
    said = panel.press("Free memory").splitlines()
    assert said[0].startswith("Free: ")
    assert said[1].startswith("collect garbage: ")


def test_copy_report_puts_it_on_the_clipboard(panel_of_runs):
    panel = panel_of_runs
    panel.editor.allow_clipboard()
    assert panel.press("Copy report").startswith("Copied ")
    text = panel.editor.call("async () => navigator.clipboard.readText()")
    assert "TrueTile decode" in text
    assert "main memory: this process" in text


_STOCK_WORKFLOW = """async () => {
  await app.loadGraphData({version: 0.4, nodes: [], links: [], last_node_id: 0, last_link_id: 0})
  const kinds = ['EmptyLatentImage', 'VAELoader', 'VAEDecode', 'PreviewImage']
  const nodes = kinds.map((kind) => LiteGraph.createNode(kind))
  nodes.forEach((node, at) => { app.graph.add(node); node.pos = [at * 400, 100] })
  const [latent, loader, decode, preview] = nodes
  latent.connect(0, decode, 0)
  loader.connect(0, decode, 1)
  decode.connect(0, preview, 0)
}"""
