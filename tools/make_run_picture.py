"""Takes the picture of the quick start: an example after its run in a real ComfyUI.

COMFYUI_DIR=... COMFYUI_PYTHON=... python tools/make_run_picture.py docs/pictures/quick_start.webp
"""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "comfyui")]
from browser import Editor  # noqa: E402
from PIL import Image  # noqa: E402
from server import ComfyServer, python_of_comfyui  # noqa: E402

_SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Minimap.Visible": False,
    "LiteGraph.Canvas.MinFontSizeForLOD": 0,
}
_WINDOW = (1800, 1000)
_EDGE = 16  # pixels around the nodes
_RUN = """async (workflow) => {
  await app.loadGraphData(workflow, true, true)
  await new Promise((done) => setTimeout(done, 1500))
  await app.queuePrompt(0)
  return (await (await fetch('/queue')).json()).queue_running.map((entry) => entry[1])
}"""
# Room for the whole report, and the note away. Gives the nodes' frame in the window's pixels.
_SHOW = """async () => {
  const note = app.graph.nodes.find((node) => node.type === 'MarkdownNote')
  if (note) app.graph.remove(note)
  app.graph.nodes.filter((node) => node.type.startsWith('TrueTile'))
    .forEach((node) => node.setSize([node.size[0], 390]))
  await app.extensionManager.command.execute('Comfy.Canvas.FitView')
  await new Promise((done) => setTimeout(done, 2500))
  const {scale, offset} = app.canvas.ds
  const corner = app.canvas.canvas.getBoundingClientRect()
  const at = (x, y) => [corner.x + (x + offset[0]) * scale, corner.y + (y + offset[1]) * scale]
  const [x, y, w, h] = [0, 1, 2, 3].map((i) => app.graph.nodes.map((n) => n.boundingRect[i]))
  const right = Math.max(...x.map((left, i) => left + w[i]))
  const below = Math.max(...y.map((top, i) => top + h[i]))
  return [...at(Math.min(...x), Math.min(...y)), ...at(right, below)]
}"""


def main(out: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "base"
        server = ComfyServer(Path(os.environ["COMFYUI_DIR"]), python_of_comfyui(), base)
        server.start()
        try:
            server.post("/settings", _SETTINGS)
            url = f"http://127.0.0.1:{server.port}"
            with Editor(url, Path(folder) / "chromium", window=_WINDOW) as editor:
                workflow = json.loads((ROOT / "example_workflows/truetile_image.json").read_text())
                (prompt,) = editor.call(_RUN, workflow)
                entry = server.wait(prompt)
                if entry["status"]["status_str"] != "success":
                    raise RuntimeError(entry["status"]["messages"])
                x, y, right, below = editor.call(_SHOW)
                shot = Path(folder) / "shot.jpg"
                size = (right - x + 2 * _EDGE, below - y + 2 * _EDGE)
                editor.picture(shot, (x - _EDGE, y - _EDGE, *size))
                Image.open(io.BytesIO(shot.read_bytes())).save(out, quality=85)
        finally:
            server.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
