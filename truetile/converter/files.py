"""Workflow files: JSON, or pictures that carry a workflow. Nothing is overwritten by accident."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ..errors import InvalidArgument, WorkflowError
from ..watch import files
from . import json_text
from .conversion import Conversion, NotConverted
from .pictures import Picture, open_picture

JSON = ".json"


class WorkflowFile:
    """A file that was read. Raises OSError, or WorkflowError that names the file and the place."""

    def __init__(self, path: Path) -> None:
        self.path = path
        data = path.read_bytes()
        self._picture: Picture | None = _named(str(path), open_picture, data)
        if self._picture is not None:
            self.texts = self._picture.texts
        else:
            self.texts = {"": _named(str(path), json_text.decode, data)}

    def convert(self, work: Callable[[str], Conversion]) -> Result:
        """What `work` makes of each document in the file.

        Of a picture, its workflow may have been converted alone: then it alone has a way back.
        """
        found, refused = {}, None
        for name, text in self.texts.items():
            try:
                label = f"{name} in {self.path}" if name else str(self.path)
                found[name] = _named(label, work, text)
            except NotConverted as error:
                refused = error
        if not found:
            raise refused
        return Result(self, found)

    def bytes_with(self, texts: dict[str, str], suffix: str) -> bytes:
        """The file with other texts; as JSON, the workflow alone, or the prompt without one."""
        if self._picture is not None and suffix != JSON:
            return self._picture.with_texts(texts)
        return next(iter(texts.values())).encode("utf-8")

    def check_suffix(self, out: Path) -> None:
        """Raises InvalidArgument where `out` is to be a file of another kind."""
        allowed = {JSON, self.path.suffix.lower()} if self._picture is not None else None
        if allowed is not None and out.suffix.lower() not in allowed:
            raise InvalidArgument(f"out={out}: must end with {' or '.join(sorted(allowed))}")


class Result(NamedTuple):
    """The documents of a file, converted, by name; a JSON file has one, named ""."""

    file: WorkflowFile
    documents: dict[str, Conversion]

    @property
    def changed(self) -> bool:
        return any(done.changed for done in self.documents.values())

    def write(self, out: Path) -> None:
        """A new file. Raises InvalidArgument where there is one already."""
        self.file.check_suffix(out)
        if out.exists():
            raise InvalidArgument(f"out={out}: is there already, and is not overwritten")
        files.write(out, self._bytes(out.suffix.lower()))

    def write_in_place(self) -> Path:
        """The file itself, after a copy of it was made; gives the path of the copy."""
        path = self.file.path.resolve()
        backup = _free(path)
        files.write(backup, path.read_bytes())
        shutil.copymode(path, backup)
        files.write(path, self._bytes(path.suffix.lower()))
        shutil.copymode(backup, path)
        return backup

    def _bytes(self, suffix: str) -> bytes:
        texts = {name: done.text for name, done in self.documents.items()}
        return self.file.bytes_with(texts, suffix)


def _free(path: Path) -> Path:
    """A name beside `path` that no file has: .bak, .bak2, ..."""
    number = 1
    while (backup := path.with_name(f"{path.name}.bak{number if number > 1 else ''}")).exists():
        number += 1
    return backup


def _named(name: str, work: Callable, argument: object):
    try:
        return work(argument)
    except WorkflowError as error:
        raise type(error)(f"{name}: {error}") from None
