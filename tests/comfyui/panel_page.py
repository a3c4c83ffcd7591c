"""The panel in a page: opened, read, pressed."""

from __future__ import annotations

import time
from typing import Any

from browser import Editor


class PanelPage:
    """The panel of an editor. `frames` counts its messages on the page's websocket."""

    def __init__(self, editor: Editor) -> None:
        self.editor = editor
        editor.call(_COUNT)

    def toggle(self, is_open: bool) -> None:
        self.editor.call(_TOGGLE, is_open)
        if is_open:
            self.wait_for("document.querySelector('.truetile-panel .tt-legend')")

    def text(self) -> str:
        return self.editor.call("async () => document.querySelector('.truetile-panel').innerText")

    def frames(self) -> int:
        return self.editor.call("async () => window.truetileFrames")

    def press(self, button: str) -> str:
        """What the panel says when it has done what the button is for."""
        self.editor.call(_PRESS, button)
        self.wait_for(_ENABLED)
        return self.editor.call("async () => document.querySelector('.tt-said').innerText")

    def run(self, workflow: dict) -> None:
        """Loads a workflow and queues it; the panel shows that it runs."""
        self.editor.call("async (document) => { await app.loadGraphData(document) }", workflow)
        self.editor.call("async () => { await app.queuePrompt(0) }")
        self.wait_for("document.querySelector('.tt-running')")

    def theme(self, name: str) -> None:
        set_it = "async (name) => { await app.extensionManager.setting.set(%s, name) }"
        self.editor.call(set_it % "'Comfy.ColorPalette'", name)
        time.sleep(0.5)  # colours fade over

    def wait_for(self, expression: str) -> Any:
        """The value of a JavaScript expression, once it is true."""
        while not (value := self.editor.call(f"async () => Boolean({expression})")):
            time.sleep(0.1)
        return value


_COUNT = """async () => {
  window.truetileFrames = 0
  comfyAPI.api.api.socket.addEventListener('message', ({data}) => {
    if (typeof data === 'string' && JSON.parse(data).type === 'truetile.panel') truetileFrames++
  })
}"""
_TOGGLE = """async (open) => {
  const bar = app.extensionManager.sidebarTab
  if ((bar.activeSidebarTabId === 'truetile') !== open) bar.toggleSidebarTab('truetile')
}"""
_PRESS = """async (text) => {
  const buttons = [...document.querySelectorAll('.truetile-panel button')]
  buttons.find((button) => button.innerText === text).click()
}"""
_ENABLED = "document.querySelector('.truetile-panel button:enabled')"
