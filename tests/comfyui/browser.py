"""A headless Chromium with ComfyUI's editor in it, driven over its debugging port."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from mini_websocket import WebSocket

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


class Editor:
    """ComfyUI's editor at `url`, with a profile of its own in `folder`. A context manager."""

    def __init__(self, url: str, folder: Path, window: tuple[int, int] = (1280, 800)) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"]
        flags += [f"--remote-debugging-port={port}", f"--user-data-dir={folder}"]
        flags += ["--disable-dev-shm-usage", f"--window-size={window[0]},{window[1]}"]
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen([CHROMIUM, *flags, url], stdout=quiet, stderr=quiet)
        self._count = 0
        self._events: list[dict[str, Any]] = []
        try:
            self._socket = WebSocket(port, self._page(port), timeout=300)
            for domain in ("Page", "Runtime", "Log"):
                self._ask(f"{domain}.enable", {})
            self._wait_for_editor()
        except BaseException:
            self._process.kill()
            raise

    def __enter__(self) -> Editor:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._process.terminate()
        self._process.wait(20)

    def call(self, function: str, *arguments: Any) -> Any:
        """What an async JavaScript function gives for these JSON values."""
        given = ", ".join(json.dumps(argument) for argument in arguments)
        return self._evaluate(f"({function})({given})")

    def prompt_of(self, workflow: dict[str, Any]) -> dict[str, Any]:
        """{output, workflow, missing}: the API prompt and the saved form of a workflow."""
        return self.call(_LOAD, workflow)

    def picture(self, path: Path, part: tuple[int, int, int, int]) -> None:
        """A JPEG of a part of the window: x, y, width, height."""
        clip = dict(zip(("x", "y", "width", "height"), part, strict=True))
        options = {"format": "jpeg", "quality": 80, "clip": {**clip, "scale": 0.8}}
        path.write_bytes(base64.b64decode(self._ask("Page.captureScreenshot", options)["data"]))

    def resize(self, width: int, height: int) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._ask("Emulation.setDeviceMetricsOverride", size)

    def screenshot(self, path: Path) -> None:
        """A PNG of the window."""
        path.write_bytes(base64.b64decode(self._ask("Page.captureScreenshot", {})["data"]))

    def allow_clipboard(self) -> None:
        """Pages in a window without focus may use it otherwise only when a person has clicked."""
        names = ["clipboardReadWrite", "clipboardSanitizedWrite"]
        self._ask("Browser.grantPermissions", {"permissions": names})

    def errors(self) -> list[str]:
        """What pages put on the console as errors and threw without catching so far."""
        self._evaluate("0")  # events that are on their way come before the answer
        found = []
        for event in self._events:
            told = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                details = told["exceptionDetails"]
                found.append(details.get("exception", {}).get("description") or details["text"])
            elif event["method"] == "Runtime.consoleAPICalled":
                values = [str(one.get("value", one.get("description"))) for one in told["args"]]
                text = " ".join(values)
                # The editor catches what listeners of its own events throw, and only warns.
                if told["type"] == "error" or "Uncaught error" in text:
                    found.append(text)
            elif event["method"] == "Log.entryAdded" and told["entry"]["level"] == "error":
                found.append(f"{told['entry']['text']} ({told['entry'].get('url', '')})")
        return found

    def _evaluate(self, expression: str) -> Any:
        options = {"expression": expression, "awaitPromise": True, "returnByValue": True}
        answer = self._ask("Runtime.evaluate", options)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description") or details["text"])
        return answer["result"].get("value")

    def _ask(self, method: str, options: dict[str, Any]) -> dict[str, Any]:
        self._count += 1
        message = {"id": self._count, "method": method, "params": options}
        self._socket.send(json.dumps(message))
        while (answer := json.loads(self._socket.receive())).get("id") != self._count:
            self._events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def _page(self, port: int) -> str:
        for _ in range(240):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
                    pages = [page for page in json.loads(answer.read()) if page["type"] == "page"]
                if pages:
                    return "/devtools/page/" + pages[0]["id"]
            except (urllib.error.URLError, ConnectionError):
                pass
            time.sleep(0.25)
        raise TimeoutError("Chromium does not open its debugging port")

    def _wait_for_editor(self) -> None:
        for _ in range(240):
            if self._evaluate(_READY):
                return
            time.sleep(0.5)
        raise TimeoutError("the editor does not come up")


_READY = (
    "Boolean(window.app && window.app.graph && window.LiteGraph "
    "&& window.LiteGraph.registered_node_types.TrueTileVAEDecode)"
)
_LOAD = """async (workflow) => {
  await app.loadGraphData(workflow, true, false)
  const {output, workflow: saved} = await app.graphToPrompt()
  const missing = []
  const look = (graph) => graph.nodes.forEach((node) => {
    if (node.has_errors || (node.type && !LiteGraph.registered_node_types[node.type]
        && !node.isSubgraphNode?.())) missing.push(node.type)
    if (node.subgraph) look(node.subgraph)
  })
  look(app.rootGraph ?? app.graph)
  return {output, workflow: saved, missing}
}"""
