"""Scenes: API-format prompts from files."""

from __future__ import annotations

import glob
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InvalidArgument


@dataclass(frozen=True)
class Scene:
    """One prompt. `name` is unique in a run; `digest` changes with the prompt."""

    name: str
    prompt: dict[str, Any]
    digest: str


def load(patterns: Sequence[str], repeat: int = 1) -> list[Scene]:
    """The scenes of files and globs, in the order given, a glob's sorted by name.

    Raises InvalidArgument naming the file that is none.
    """
    scenes: list[Scene] = []
    taken: dict[str, int] = {}
    for path in [path for pattern in patterns for path in _files(pattern)]:
        prompt = _prompt(path)
        digest = hashlib.sha256(json.dumps(prompt, sort_keys=True).encode()).hexdigest()
        for _ in range(repeat):
            number = taken[path.stem] = taken.get(path.stem, 0) + 1
            name = path.stem if number == 1 else f"{path.stem}#{number}"
            scenes.append(Scene(name, prompt, digest))
    return scenes


def _files(pattern: str) -> list[Path]:
    if Path(pattern).is_file():
        return [Path(pattern)]
    found = sorted(path for name in glob.glob(pattern) if (path := Path(name)).is_file())  # noqa: PTH207
    if not found:
        raise InvalidArgument(f"SCENES={pattern}: no such file")
    return found


def _prompt(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidArgument(f"SCENES={path}: cannot be read as JSON ({error})") from None
    if isinstance(data, dict) and isinstance(data.get("prompt"), dict):
        data = data["prompt"]  # the body of a POST to /prompt
    if isinstance(data, dict) and "nodes" in data:
        raise InvalidArgument(
            f"SCENES={path}: must be in API format, this is a workflow of the editor: "
            "export it with File > Export (API)"
        )
    nodes = list(data.values()) if isinstance(data, dict) else []
    if not nodes or not all(isinstance(n, dict) and "class_type" in n for n in nodes):
        raise InvalidArgument(f"SCENES={path}: must be a prompt in ComfyUI's API format")
    return data
