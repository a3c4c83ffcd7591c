"""JSON text: reading it with errors that say where, and finding where a value stands in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..errors import WorkflowError

Path = tuple[str | int, ...]

# Deeper than any editor nests, and far from Python's own limit for the recursive parts below.
MAX_DEPTH = 100
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},:]|[^\s\[\]{},:"]+', re.DOTALL)
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")
_BOM = "\ufeff"


class Member(NamedTuple):
    """A value inside an object (with its key) or an array; the numbers are offsets in the text."""

    key: str | None
    start: int
    value_start: int
    end: int


def decode(data: bytes) -> str:
    """UTF-8 text, with a byte order mark kept as its first character. Raises WorkflowError."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        raise WorkflowError(
            f"{_at(before, len(before))}: expected UTF-8 text; a workflow is JSON, or a PNG or "
            "WebP picture that ComfyUI has saved"
        ) from None


def parse(text: str) -> Any:
    """The value that the text holds. Raises WorkflowError with line, column and expectation."""
    body = text.removeprefix(_BOM)
    _check_depth(body)
    try:
        return json.loads(body)
    except json.JSONDecodeError as error:
        expected = error.msg[:1].lower() + error.msg[1:].replace("Expecting", "expected")
        expected = expected.replace("expecting", "expected")
        raise WorkflowError(f"{_at(body, error.pos)}: not JSON, {expected}") from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits
        raise WorkflowError(f"not JSON that can be read: {error}") from None


def position(text: str, path: Path) -> str:
    """`line 3, column 7`: where the value at `path` begins, or the deepest part of the path."""
    start = _first(text)
    for step in path:
        if text[start] not in "{[":
            break
        found = None
        for index, member in enumerate(members(text, start)):
            if step == (index if member.key is None else member.key):
                found = member.value_start  # of equal keys the last one counts, as in json
        if found is None:
            break
        start = found
    return _at(text, start)


def spell(path: Path) -> str:
    """`nodes[3].type`."""
    parts = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in path]
    return "".join(parts).removeprefix(".") or "the document"


def root(text: str) -> int:
    """Where the outermost value begins."""
    return _first(text)


def members(text: str, start: int) -> Iterator[Member]:
    """What stands in the object or array that begins at `start` of a valid text."""
    depth, key, key_start, value_start = 0, None, -1, -1
    in_object = text[start] == "{"
    for token in _TOKEN.finditer(text, start):
        first = token.group()[0]
        if first in "]}":
            depth -= 1
        if depth == 1 and first == ",":
            value_start, key_start, key = -1, -1, None
        elif depth == 1 and first != ":" and first not in "]}":
            if in_object and key_start < 0:
                key_start, key = token.start(), json.loads(token.group(), strict=False)
            else:
                value_start = token.start()
        if first in "[{":
            depth += 1
        elif depth == 1 and value_start >= 0 and first not in ",:":
            yield Member(key, key_start if in_object else value_start, value_start, token.end())
        if depth == 0:
            return


def end_of(text: str, start: int) -> int:
    """One past the value that begins at `start`."""
    depth = 0
    for token in _TOKEN.finditer(text, start):
        depth += token.group() in ("{", "[")
        depth -= token.group() in ("}", "]")
        if depth == 0:
            return token.end()
    return len(text)


def _check_depth(text: str) -> None:
    # Strings are blanked out first, and at once: only brackets are left to look at one by one.
    bare = _STRING.sub(lambda found: " " * (found.end() - found.start()), text)
    depth = 0
    for bracket in _BRACKET.finditer(bare):
        depth += 1 if bracket.group() in "[{" else -1
        if depth > MAX_DEPTH:
            raise WorkflowError(
                f"{_at(text, bracket.start())}: "
                f"expected at most {MAX_DEPTH} values inside each other"
            )


def _first(text: str) -> int:
    found = _TOKEN.search(text, len(_BOM) if text.startswith(_BOM) else 0)
    return found.start() if found else 0


def _at(text: str, offset: int) -> str:
    line = text.count("\n", 0, offset) + 1
    column = offset - (text.rfind("\n", 0, offset) + 1) + 1
    return f"line {line}, column {column}"
