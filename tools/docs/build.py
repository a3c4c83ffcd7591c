"""Builds the documentation site and checks it; warnings and broken links are errors.

    python tools/docs/build.py

Pages are in docs/, help pages of the nodes in comfy_nodes/web/docs. What comes from the code (the
command line's reference) and from measurements (plots) is written to .venv/docs_parts first, where
pages include it; the Python reference is made from docstrings by mkdocstrings. Example workflows'
pictures lie beside docs/ in the site too.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cli_page
import links
import plots

ROOT = Path(__file__).resolve().parents[2]
PARTS = ROOT / ".venv" / "docs_parts"
SITE = ROOT / ".venv" / "site"
PICTURES = "example_workflows"
_TO_DOCS = '<!doctype html><meta http-equiv="refresh" content="0; url=docs/">\n'


def build(root: Path = ROOT) -> list[str]:
    """Builds the site of `root`; what is wrong with it, a line each. Nothing: it is good."""
    parts, site = root / PARTS.relative_to(ROOT), root / SITE.relative_to(ROOT)
    parts.mkdir(parents=True, exist_ok=True)
    cli_page.write(parts)
    plots.write(parts)
    shutil.rmtree(site, ignore_errors=True)
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    plain = os.environ | {"NO_COLOR": "1"}
    done = subprocess.run(command, cwd=root, env=plain, capture_output=True, text=True, check=False)
    said = [*done.stdout.splitlines(), *done.stderr.splitlines()]
    if done.returncode:
        return said
    # Strict mode knows nothing of what is wrong with a docstring.
    if docstrings := [line for line in said if line.startswith(("griffe:", "mkdocstrings:"))]:
        return docstrings
    # Its links begin at the root of a server, where this site need not lie.
    (site / "docs" / "404.html").unlink()
    (site / "index.html").write_text(_TO_DOCS)
    (site / PICTURES).mkdir()
    for picture in (root / PICTURES).glob("*.jpg"):
        shutil.copy(picture, site / PICTURES)
    return links.broken(site)


def main() -> int:
    """Builds; 1 when anything is wrong."""
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    problems = build()
    for line in problems:
        print(line, file=sys.stderr)
    if not problems:
        print(f"{SITE.relative_to(ROOT)}: {len(list(SITE.rglob('*.html')))} pages")
        print(f"read them with: python -m http.server -d {SITE.relative_to(ROOT)}")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
