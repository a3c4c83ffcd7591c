"""A ComfyUI that this run has started, or that its crashed predecessor had."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from ..commands import CommandFailed
from ..watch.client import Client, Refused, ServerSilent
from .journal import Journal

_START = 300.0  # seconds until it has to answer: custom nodes may take minutes to import
_PATIENCE = 15.0


class OwnServer:
    """Starts main.py of a checkout on a free port and ends it again."""

    def __init__(
        self, comfyui: Path, python: str, flags: list[str], log: Path, journal: Journal
    ) -> None:
        self._comfyui, self._python, self._flags = comfyui, python, flags
        self._log, self._journal = log, journal
        self._process: subprocess.Popen | None = None
        self._pid: int | None = None
        self.client = Client()

    def start(self) -> None:
        """Takes over the server of a crashed run if it still answers, else starts one."""
        if self._take_over():
            return
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [self._python, "main.py", *self._flags]
        command += ["--listen", "127.0.0.1", "--port", str(port)]
        with self._log.open("ab") as log:
            try:
                self._process = subprocess.Popen(
                    command, cwd=self._comfyui, stdout=log, stderr=log, start_new_session=True
                )
            except OSError as error:
                raise CommandFailed(f"{self._python}: cannot be run ({error.strerror})") from None
        self._pid = self._process.pid
        self.client = Client(f"http://127.0.0.1:{port}")
        self._journal.server({"url": self.client.url, "pid": self._pid})
        deadline = time.monotonic() + _START
        while time.monotonic() < deadline and self.alive():
            try:
                self.client.get("/system_stats")
                return
            except (ServerSilent, Refused):
                time.sleep(0.25)
        self.stop()
        raise CommandFailed(f"ComfyUI did not start; its log: {self._log}")

    def _take_over(self) -> bool:
        left = self._journal.data["server"]
        if left is None or self._pid is not None:
            return False
        try:
            client = Client(left["url"])
            argv = client.get("/system_stats")["system"]["argv"]
        except (ServerSilent, Refused, KeyError, TypeError):
            return False
        # Another program may have got the port since: it is ours only with our own arguments.
        if argv[-1:] != [left["url"].rpartition(":")[2]] or not _exists(left["pid"]):
            return False
        self.client, self._pid = client, left["pid"]
        return True

    def alive(self) -> bool:
        if self._process is not None:
            return self._process.poll() is None
        return self._pid is not None and _exists(self._pid)

    def stop(self) -> None:
        """Ends the server and all it has started; safe to call twice."""
        for sent in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
            if self._pid is None or not self.alive():
                break
            with contextlib.suppress(OSError):
                if hasattr(os, "killpg"):
                    os.killpg(self._pid, sent)
                else:
                    os.kill(self._pid, sent)
            deadline = time.monotonic() + _PATIENCE
            while self.alive() and time.monotonic() < deadline:
                time.sleep(0.05)
        self._process = self._pid = None
        self._journal.server(None)

    def restart(self) -> None:
        self.stop()
        self.start()


def _exists(pid: int) -> bool:
    if os.name == "nt":
        return True  # os.kill would end it; the server has just answered
    try:
        os.kill(pid, 0)
        return True
    except OSError:
        return False
