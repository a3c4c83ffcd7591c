"""An unmodified ComfyUI with this checkout as a custom node, on a free loopback port."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from pathlib import Path

from mini_websocket import WebSocket

REPOSITORY = Path(__file__).resolve().parents[2]
PACK_NAME = "truetile"
DEMO_VAE = REPOSITORY / "assets" / "demo_vae.safetensors"


class PromptRefused(Exception):
    """ComfyUI did not accept a prompt; `body` is its answer."""

    def __init__(self, body: dict):
        super().__init__(json.dumps(body, indent=1))
        self.body = body


class ComfyServer:
    """Starts main.py in a directory of its own and speaks HTTP and websocket with it.

    comfyui: the checkout, which stays untouched; python: the interpreter that runs it;
    base: an empty directory for models, input, output and the server's log; flags: how it runs,
    with what COMFYUI_FLAGS adds (such as --front-end-root where no frontend is installed); pack:
    the folder that lies in its custom_nodes.
    """

    def __init__(
        self,
        comfyui: Path,
        python: str,
        base: Path,
        flags: tuple[str, ...] = ("--cpu",),
        pack: Path = REPOSITORY,
    ):
        self.base = base
        self._flags = [*flags, *os.environ.get("COMFYUI_FLAGS", "").split()]
        self.client_id = uuid.uuid4().hex
        self._comfyui = comfyui
        self._python = python
        self._process: subprocess.Popen | None = None
        self.port = 0
        for name in ("models/vae", "input", "output", "temp", "user", "custom_nodes"):
            (base / name).mkdir(parents=True)
        (base / "custom_nodes" / PACK_NAME).symlink_to(pack, target_is_directory=True)
        probes = Path(__file__).parent / "probe_pack"
        shutil.copytree(probes, base / "custom_nodes" / "probe_pack")
        shutil.copy(DEMO_VAE, base / "models" / "vae")
        shutil.copy(comfyui / "input" / "example.png", base / "input")

    @property
    def log(self) -> str:
        return (self.base / "server.log").read_text(errors="replace")

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, timeout: float = 180.0) -> None:
        """Returns when the server answers. Raises RuntimeError with the end of its log."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = [self._python, "main.py", *self._flags, "--listen", "127.0.0.1"]
        command += ["--port", str(self.port), "--base-directory", str(self.base)]
        command += ["--database-url", "sqlite:///:memory:", "--disable-api-nodes"]
        with (self.base / "server.log").open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self._comfyui,
                env=environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                self.get("/system_stats")
                return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.25)
        self.stop()
        raise RuntimeError("ComfyUI did not start; the end of its log:\n" + self.log[-4000:])

    def stop(self) -> None:
        """Ends the server and everything it started; safe to call twice."""
        if self._process is None:
            return
        for sent in (signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is not None:
                break
            os.killpg(self._process.pid, sent)
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                continue
        self._process = None

    def get(self, path: str, timeout: float = 30.0):
        url = self.address + path
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            data = answer.read()
        return json.loads(data) if "json" in answer.headers.get_content_type() else data.decode()

    def post(self, path: str, body: dict | None = None):
        request = urllib.request.Request(
            self.address + path,
            json.dumps(body or {}).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                data = answer.read()
        except urllib.error.HTTPError as error:
            raise PromptRefused(json.loads(error.read() or b"{}")) from error
        return json.loads(data) if data else None

    def listen(self, timeout: float = 120.0) -> WebSocket:
        """A websocket that gets the events of the prompts this object queues."""
        return WebSocket(self.port, f"/ws?clientId={self.client_id}", timeout)

    def queue(self, prompt: dict) -> str:
        """Queues an API-format prompt and gives its id. Raises PromptRefused."""
        return self.post("/prompt", {"prompt": prompt, "client_id": self.client_id})["prompt_id"]

    def wait(self, prompt_id: str, timeout: float = 300.0) -> dict:
        """The history entry of a prompt, once it has ended in whatever way."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            history = self.get(f"/history/{prompt_id}")
            if history.get(prompt_id, {}).get("status", {}).get("status_str"):
                return history[prompt_id]
            if self._process is None or self._process.poll() is not None:
                raise RuntimeError("ComfyUI ended; the end of its log:\n" + self.log[-4000:])
            time.sleep(0.1)
        raise TimeoutError(f"prompt {prompt_id} did not end in {timeout} s")

    def run(self, prompt: dict, timeout: float = 300.0) -> dict:
        """Runs a prompt; its outputs by node id. Raises RuntimeError with ComfyUI's message."""
        entry = self.wait(self.queue(prompt), timeout)
        if entry["status"]["status_str"] != "success":
            raise RuntimeError(error_message(entry))
        return entry["outputs"]

    def pretend_models(self, models: dict[str, list[str]]) -> None:
        """Empty files of these names, by folder of models: ComfyUI lists them as if they were."""
        for folder, names in models.items():
            for name in names:
                path = self.base / "models" / folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()

    def path_of(self, saved: dict) -> Path:
        """The file behind an entry such as {"filename":, "subfolder":, "type":}."""
        return self.base / saved["type"] / saved["subfolder"] / saved["filename"]


def error_message(entry: dict) -> str:
    """What ComfyUI says about a prompt that failed; empty when it did not."""
    for name, detail in entry["status"]["messages"]:
        if name == "execution_error":
            return f"{detail['exception_type']}: {detail['exception_message']}"
        if name == "execution_interrupted":
            return "interrupted"
    return ""


def environment() -> dict[str, str]:
    """Variables for ComfyUI's processes."""
    # No bytecode: nothing may be written into the pack's folder or the ComfyUI checkout. Threads
    # that wait actively would slow down whatever else runs on a small machine many times over.
    ours = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    return {**os.environ, **ours}


def python_of_comfyui() -> str:
    """COMFYUI_PYTHON, or this interpreter."""
    return os.environ.get("COMFYUI_PYTHON") or sys.executable
