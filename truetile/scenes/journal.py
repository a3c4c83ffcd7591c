"""What a run has done so far, in one file that a crash at any moment leaves whole."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any

from ..errors import InvalidArgument
from ..watch import files
from .scene import Scene

NAME = "journal.json"


class Journal:
    """Opened with what an unfinished run has left in `folder`, else new. Raises InvalidArgument.

    `data["scenes"]` by name: {"digest", "result"}; a scene without a result was only begun.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self.resumed = self._path.exists()
        if not self.resumed:
            self.data: dict[str, Any] = {
                "version": 1, "run": uuid.uuid4().hex, "started_at": time.time(),
                "server": None, "notes": [], "scenes": {},
            }  # fmt: skip
            return
        try:
            self.data = json.loads(self._path.read_text(encoding="utf-8"))
            assert self.data["version"] == 1 and isinstance(self.data["scenes"], dict)
        except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
            raise InvalidArgument(f"out={folder}: {NAME} is not a journal ({error})") from None

    def tag(self, scene: Scene) -> str:
        """Goes with the prompt, so that it is found again in a server's queue and history."""
        return f"{self.data['run']}/{scene.name}/{scene.digest[:16]}"

    def result(self, scene: Scene) -> dict[str, Any] | None:
        """What the scene gave; None when it has to be run: not done, failed, or changed since."""
        entry = self.data["scenes"].get(scene.name, {})
        result = entry.get("result")
        if result is None or entry["digest"] != scene.digest or result["status"] != "success":
            return None
        return result

    def begin(self, scene: Scene) -> None:
        self.data["scenes"][scene.name] = {"digest": scene.digest, "result": None}
        self.save()

    def finish(self, scene: Scene, result: dict[str, Any]) -> None:
        self.data["scenes"][scene.name] = {"digest": scene.digest, "result": result}
        self.save()

    def began(self, scene: Scene) -> bool:
        """Whether the scene was sent off, with a result or not."""
        return self.data["scenes"].get(scene.name, {}).get("digest") == scene.digest

    def note(self, text: str) -> None:
        """Something about the run that belongs into its baseline."""
        if text not in self.data["notes"]:
            self.data["notes"].append(text)
            self.save()

    def server(self, entry: dict[str, Any] | None) -> None:
        """The server that this run has started, for the next start after a crash."""
        self.data["server"] = entry
        self.save()

    def save(self) -> None:
        files.write(self._path, json.dumps(self.data, indent=1))

    def close(self) -> None:
        """The run is over and written down elsewhere."""
        self._path.unlink(missing_ok=True)
