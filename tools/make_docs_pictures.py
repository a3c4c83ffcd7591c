"""Takes the documentation's pictures of runs in a real ComfyUI: the nodes, and the panel.

COMFYUI_DIR=... COMFYUI_PYTHON=... python tools/make_docs_pictures.py docs/pictures
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "comfyui")]
from browser import Editor  # noqa: E402
from panel_page import PanelPage  # noqa: E402
from PIL import Image  # noqa: E402
from server import ComfyServer, python_of_comfyui  # noqa: E402

_SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Minimap.Visible": False,
    "LiteGraph.Canvas.MinFontSizeForLOD": 0,
}
_PREVIEWS = {"Comfy.Execution.PreviewMethod": "auto"}
_WINDOW = (1800, 1300)
_SMALL_WINDOW = (1280, 880)
_RUN = """async (workflow) => {
  await app.loadGraphData(workflow, true, true)
  await new Promise((done) => setTimeout(done, 1500))
  await app.queuePrompt(0)
  const {queue_running, queue_pending} = await (await fetch('/queue')).json()
  return [...queue_running, ...queue_pending].map((entry) => entry[1])
}"""
# Room for the lines of the report, and the note away. Gives left, top, right and bottom of the
# nodes in the window's pixels.
_NODES = """async () => {
  const note = app.graph.nodes.find((node) => node.type === 'MarkdownNote')
  if (note) app.graph.remove(note)
  app.graph.nodes.filter((node) => node.type.startsWith('TrueTile'))
    .forEach((node) => node.setSize([node.size[0], 290]))
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
# The node that decodes beside the panel, its upper left corner at these pixels of the window.
_NEAR_DECODE = """async (left, top) => {
  const node = app.graph.nodes.find((one) => one.type === 'TrueTileVAEDecode')
  const corner = app.canvas.canvas.getBoundingClientRect()
  const {ds} = app.canvas
  ds.scale = 0.8
  const [x, y] = [(left - corner.x) / ds.scale, (top - corner.y) / ds.scale]
  ds.offset = [x - node.pos[0], y - node.pos[1]]
  app.graph.setDirtyCanvas(true, true)
}"""
# Half of the decode is over, and its node shows what of the picture is finished.
_HALF_DONE = """(() => {
  const bar = document.querySelector('.tt-running [role=progressbar]')
  const decodes = document.querySelector('.tt-running')?.innerText.startsWith('decode')
  const shown = app.graph.nodes.find((one) => one.type === 'TrueTileVAEDecode').imgs?.length
  return decodes && shown && Number(bar.getAttribute('aria-valuenow')) >= 50
})()"""
_PANEL = """async () => {
  await new Promise((done) => setTimeout(done, 2500))
  const panel = document.querySelector('.truetile-panel')
  panel.scrollTop = 0
  const {x, y, right} = panel.getBoundingClientRect()
  const below = Math.max(...[...panel.children].map((part) => part.getBoundingClientRect().bottom))
  return [x, y, right, below]
}"""


def main(folder: Path) -> None:
    with served(_SETTINGS) as (server, editor):
        run(server, editor, "truetile_image")
        take(editor, _NODES, folder / "quick_start.webp", edge=16)
        PanelPage(editor).toggle(True)
        run(server, editor, "seven_phases_small")
        take(editor, _PANEL, folder / "panel.webp")
    with served(_SETTINGS | _PREVIEWS) as (server, editor):
        editor.resize(*_SMALL_WINDOW)
        page = PanelPage(editor)
        page.toggle(True)
        prompt = begin(editor, "seven_phases_small")
        editor.call(_NEAR_DECODE, 448, 136)
        page.wait_for(_HALF_DONE)
        save(editor.screenshot, folder / "panel_running.webp")
        succeed(server, prompt)


@contextmanager
def served(settings: dict[str, Any]) -> Iterator[tuple[ComfyServer, Editor]]:
    """A ComfyUI that has run nothing yet, and its editor."""
    with tempfile.TemporaryDirectory() as scratch:
        base = Path(scratch) / "base"
        server = ComfyServer(Path(os.environ["COMFYUI_DIR"]), python_of_comfyui(), base)
        server.start()
        try:
            server.post("/settings", settings)
            with Editor(server.address, Path(scratch) / "chromium", window=_WINDOW) as editor:
                yield server, editor
        finally:
            server.stop()


def run(server: ComfyServer, editor: Editor, example: str) -> None:
    """Runs an example from the editor; raises RuntimeError with what ComfyUI says when it fails."""
    succeed(server, begin(editor, example))


def begin(editor: Editor, example: str) -> str:
    """The id of the prompt that now runs."""
    workflow = json.loads((ROOT / "example_workflows" / f"{example}.json").read_text())
    (prompt,) = editor.call(_RUN, workflow)
    return prompt


def succeed(server: ComfyServer, prompt: str) -> None:
    entry = server.wait(prompt)
    if entry["status"]["status_str"] != "success":
        raise RuntimeError(entry["status"]["messages"])


def take(editor: Editor, arrange: str, out: Path, edge: int = 0) -> None:
    """A picture of the part of the window that `arrange` gives, and of `edge` pixels around it."""
    x, y, right, below = editor.call(arrange)
    part = (x - edge, y - edge, right - x + 2 * edge, below - y + 2 * edge)
    save(lambda shot: editor.picture(shot, part), out)


def save(shoot: Callable[[Path], None], out: Path) -> None:
    """What `shoot` writes, as WebP."""
    shot = out.with_suffix(".shot")
    shoot(shot)
    Image.open(shot).convert("RGB").save(out, quality=85)
    shot.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
