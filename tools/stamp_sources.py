#!/usr/bin/env python3
"""Writes what csrc holds into truetile/native/sources.py: to be run when C++ has changed.

Both the libraries and the Python package carry that stamp, so that a library built from other
sources is refused by name instead of failing somewhere inside.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STAMP = ROOT / "truetile" / "native" / "sources.py"
SUFFIXES = {".cpp", ".hpp", ".cu", ".cuh", ".txt"}


def digest(root: Path = ROOT) -> str:
    """Twelve hexadecimal digits of names and contents of all sources."""
    files = [path for path in (root / "csrc").rglob("*") if path.suffix in SUFFIXES]
    found = hashlib.sha256()
    for path in sorted(files, key=lambda path: path.relative_to(root).as_posix()):
        found.update(path.relative_to(root).as_posix().encode() + b"\0")
        # Git may check out other line ends.
        found.update(path.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return found.hexdigest()[:12]


def main() -> None:
    text = STAMP.read_text(encoding="utf-8")
    STAMP.write_text(re.sub(r'"[0-9a-f]{12}"', f'"{digest()}"', text), encoding="utf-8")


if __name__ == "__main__":
    main()
