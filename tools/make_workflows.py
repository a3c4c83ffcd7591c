"""Makes the example workflows that need models of their own, and their small twins.

    COMFYUI_DIR=... COMFYUI_PYTHON=... python tools/make_workflows.py example_workflows

Each is written down here as an API prompt. ComfyUI's own editor (in a headless Chromium) makes a
workflow of it, so that every node is as the editor itself would have saved it; a picture of it is
taken there too, as of those two that were laid out by hand.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "comfyui")]
from browser import Editor  # noqa: E402
from server import ComfyServer, python_of_comfyui  # noqa: E402
from workflow_prompts import MODELS, PROMPTS  # noqa: E402

# Nothing of the editor's own may lie on the pictures.
_SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Workflow.ShowMissingModelsWarning": False,
    "Comfy.Workflow.ShowMissingNodesWarning": False,
    "Comfy.Minimap.Visible": False,
    "LiteGraph.Canvas.MinFontSizeForLOD": 0,
}
_BY_HAND = ("truetile_image", "truetile_video")
# The window without the editor's bars: x, y, width, height.
_WINDOW = (1920, 1080)
_CANVAS = (70, 110, 1780, 760)
_LAYOUT = """async (prompt, name, note) => {
  await app.loadApiJson(prompt, name)
  await new Promise((done) => setTimeout(done, 500))
  const nodes = app.graph.nodes
  nodes.forEach((node) => {
    const [width, height] = node.computeSize()
    // The picture that it loads stands under the widgets.
    node.setSize([Math.max(width, 270), height + (node.type === 'LoadImage' ? 240 : 0)])
  })
  app.graph.arrange(60)
  const right = Math.max(...nodes.map((node) => node.pos[0]))
  if (right > 3000) {  // too long for a screen: the second half goes below the first
    const fold = Math.min(...nodes.map((node) => node.pos[0]).filter((x) => x > right / 2))
    const below = Math.max(...nodes.map((node) => node.pos[1] + node.size[1])) + 120
    const shift = fold - Math.min(...nodes.map((node) => node.pos[0]))
    nodes.filter((node) => node.pos[0] >= fold).forEach((node) => {
      node.pos = [node.pos[0] - shift, node.pos[1] + below]
    })
  }
  const top = LiteGraph.createNode('MarkdownNote')
  top.title = 'About this workflow'
  app.graph.add(top)
  top.widgets[0].value = note
  top.setSize([420, 300])
  const left = Math.min(...nodes.filter((n) => n !== top).map((n) => n.pos[0]))
  const above = Math.min(...nodes.filter((n) => n !== top).map((n) => n.pos[1]))
  top.pos = [left, above - 380]
  return (await app.graphToPrompt()).workflow
}"""
_SHOW = """async (workflow) => {
  await app.loadGraphData(workflow, true, true)
  await new Promise((done) => setTimeout(done, 1000))
  await app.extensionManager.command.execute('Comfy.Canvas.FitView')
  await new Promise((done) => setTimeout(done, 1500))
}"""


def tidy(workflow: dict[str, Any], name: str) -> dict[str, Any]:
    """The workflow with an id that a second run gives again, and without the editor's own state."""
    workflow = {**workflow, "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"truetile/{name}"))}
    workflow["extra"] = {}
    for node in workflow["nodes"]:
        node["pos"] = [round(float(value)) for value in node["pos"]]
        node["size"] = [round(float(value)) for value in node["size"]]
    return workflow


def take(editor: Editor, workflow: dict[str, Any], picture: Path) -> None:
    editor.call(_SHOW, workflow)
    editor.picture(picture, _CANVAS)


def main(out: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        comfyui = Path(os.environ["COMFYUI_DIR"])
        server = ComfyServer(comfyui, python_of_comfyui(), Path(folder) / "base")
        server.start()
        try:
            server.post("/settings", _SETTINGS)
            server.pretend_models(MODELS)
            url = server.address
            with Editor(url, Path(folder) / "chromium", window=_WINDOW) as editor:
                for name, (prompt, note) in PROMPTS.items():
                    workflow = tidy(editor.call(_LAYOUT, prompt, name, note), name)
                    text = json.dumps(workflow, indent=1, ensure_ascii=False)
                    (out / f"{name}.json").write_text(text + "\n", encoding="utf-8")
                    take(editor, workflow, out / f"{name}.jpg")
                    print(name, len(workflow["nodes"]), "nodes")
                for name in _BY_HAND:
                    text = (ROOT / "example_workflows" / f"{name}.json").read_text(encoding="utf-8")
                    take(editor, json.loads(text), out / f"{name}.jpg")
        finally:
            server.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
