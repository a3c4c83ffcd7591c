"""Texts of the source code, for tests that compare documents with what users really read."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from docs_tools import ROOT


def literals() -> list[str]:
    """All texts in the Python code; what an f-string fills in is a NUL."""
    files = [*(ROOT / "truetile").rglob("*.py"), *(ROOT / "comfy_nodes").rglob("*.py")]
    return [text for path in files for text in _texts(path)]


def _texts(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            parts = [p.value if isinstance(p, ast.Constant) else "\0" for p in node.values]
            yield "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
