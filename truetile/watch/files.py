"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ..errors import InvalidArgument


def folder(name: str, path: Path) -> Path:
    """Makes the folder. Raises InvalidArgument, which calls the value `name`."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidArgument(f"{name}={path}: must be a folder ({error.strerror})") from None
    return path


def write(path: Path, text: str | bytes) -> None:
    """Replaces the file at once; a reader, or the next start after a power cut, sees old or new."""
    write_all({path: text})


def write_all(texts: Mapping[Path, str | bytes]) -> None:
    """All of them, or none where writing one fails: each is complete before the first is seen."""
    ready: list[tuple[str, Path]] = []
    try:
        for path, text in texts.items():
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            ready.append((name, path))
            with os.fdopen(handle, "wb") as file:
                file.write(text.encode() if isinstance(text, str) else text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)  # mkstemp's files are for the owner only
        while ready:
            name, path = ready[0]
            Path(name).replace(path)
            ready.pop(0)
    finally:
        for name, _ in ready:
            Path(name).unlink(missing_ok=True)
