"""Runs the scenes one after another; what is done is in the journal before the next one begins."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..commands import CommandFailed
from ..watch.client import Client, Refused, ServerSilent
from . import history
from .journal import Journal
from .measure import Measure
from .own_server import OwnServer
from .recover import Recover
from .scene import Scene

_POLL = 0.2  # seconds between looks at the history
_SILENCE = 120.0  # seconds a foreign server may be silent: a busy one is
_DYING = 3.0  # seconds after which a server that answers nothing is busy, not ending
_ATTEMPTS = 2  # a scene that ends the server twice is the scene's fault


class _Lost(Exception):
    """The server ended, or forgot the prompt, while a scene ran."""


@dataclass
class Runner:
    """`own`: the server that is started here, None for one at `client`. `say` tells people."""

    journal: Journal
    client: Client
    own: OwnServer | None
    interval: float
    say: Callable[[str], None]

    def run(self, scenes: Sequence[Scene]) -> list[dict[str, Any]]:
        """The results in the order of the scenes. Raises CommandFailed when nobody answers."""
        recover = Recover(self.own.restart if self.own else None, self._note)
        results = []
        for number, scene in enumerate(scenes, 1):
            result = self.journal.result(scene)
            head = f"{number}/{len(scenes)} {scene.name}"
            if result is not None:
                self.say(f"{head}: done before")
            else:
                result = self._until_done(scene)
                result["process_after"] = None
                # Before anything else can go wrong: a finished scene is never run again.
                self.journal.finish(scene, result)
                self.say(f"{head}: {summary(result)}")
                result["process_after"] = recover.after(self._server(), scene.name)
                self.journal.finish(scene, result)
            results.append(result)
        return results

    def _server(self) -> Client:
        if self.own is None:
            return self.client
        return self.own.client

    def _until_done(self, scene: Scene) -> dict[str, Any]:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._once(scene)
            except _Lost as error:
                self._note(f"{scene.name}: {error}")
                self._revive()
                if attempt == _ATTEMPTS:
                    return _failed(scene, f"{error}, {_ATTEMPTS} times")
        raise AssertionError("unreachable")

    def _once(self, scene: Scene) -> dict[str, Any]:
        client, tag = self._server(), self.journal.tag(scene)
        measure = None
        try:
            prompt_id = history.find(client, tag) if self.journal.began(scene) else None
            found = prompt_id is not None
            if not found:
                self.journal.begin(scene)
                measure = Measure(client, scene.name, self.interval)
                measure.start()
                body = {"prompt": scene.prompt, "extra_data": {history.TAG: tag}}
                prompt_id = client.post("/prompt", body)["prompt_id"]
            entry = self._wait(client, prompt_id)
        except Refused as error:
            return _failed(scene, f"ComfyUI refuses the prompt: {error}")
        except ServerSilent as error:
            raise self._silent(error) from None
        finally:
            memory = measure.stop() if measure is not None else None
        result = history.result(entry, len(scene.prompt))
        # Found again after a crash of this runner: nobody was there to measure it.
        result |= {"memory": memory, "finished_at": time.time(), "found_again": found}
        return {"name": scene.name, **result}

    def _wait(self, client: Client, prompt_id: str) -> dict[str, Any]:
        heard = time.monotonic()
        while True:
            try:
                entry = history.ended(client, prompt_id)
                if entry is None and not history.waits(client, prompt_id):
                    # It may have ended between the two questions.
                    entry = history.ended(client, prompt_id)
                    if entry is None:
                        raise _Lost("the server does not know the prompt any more")
                if entry is not None:
                    return entry
                heard = time.monotonic()
            except ServerSilent as error:
                if self.own is not None:
                    if not self.own.alive():
                        raise _Lost("ComfyUI ended while the scene ran") from None
                elif time.monotonic() - heard > _SILENCE:
                    raise self._silent(error) from None
            time.sleep(_POLL)

    def _silent(self, error: Exception) -> Exception:
        if self.own is not None:
            return _Lost("ComfyUI did not answer when the scene was sent")
        return CommandFailed(f"{error}; the same command resumes, finished scenes are kept")

    def _revive(self) -> None:
        """Starts our server again if it has ended."""
        # Its sockets close some moments before the process is gone.
        deadline = time.monotonic() + _DYING
        while self.own is not None and time.monotonic() < deadline:
            if not self.own.alive():
                self.own.restart()
                return
            time.sleep(_POLL)

    def _note(self, text: str) -> None:
        self.say(text)
        self.journal.note(text)


def summary(result: dict[str, Any]) -> str:
    """One line about a result."""
    from ..native.memory import say_bytes

    if result["status"] != "success":
        return f"FAILED: {result['message'].splitlines()[0] if result['message'] else 'no reason'}"
    seconds = result["seconds"]
    parts = ["time unknown" if seconds is None else f"{seconds:.1f} s"]
    if result["kind"] == "cached":
        parts.append("every output from the cache")
    elif result["cached_nodes"]:
        parts.append(f"{result['cached_nodes']} of {result['nodes']} nodes from the cache")
    if result["memory"] is not None:
        parts.append(f"at least {say_bytes(result['memory']['free_min'])} free")
    return ", ".join(parts)


def _failed(scene: Scene, message: str) -> dict[str, Any]:
    return {
        "name": scene.name, "status": "error", "message": message, "seconds": None, "kind": "real",
        "nodes": len(scene.prompt), "cached_nodes": 0, "outputs": [], "memory": None,
        "finished_at": time.time(), "found_again": False,
    }  # fmt: skip
