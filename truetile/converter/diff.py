"""What a conversion changes in a file, as lines for people."""

from __future__ import annotations

import difflib

from .files import Result
from .json_text import parse
from .rewrite import dump


def unified(result: Result) -> str:
    """A unified diff; of a document in one line, of its lines as the editor would write them."""
    return "".join(
        _document(f"{result.file.path} {name}".strip(), result.file.texts[name], done.text)
        for name, done in result.documents.items()
    )


def _document(name: str, old: str, new: str) -> str:
    if old == new:
        return ""
    if old.count("\n") < 3:
        old, new = dump(parse(old)), dump(parse(new))
    lines = difflib.unified_diff(
        old.splitlines(), new.splitlines(), f"{name} (now)", f"{name} (converted)", lineterm=""
    )
    return "".join(f"{line}\n" for line in lines)
