"""The tools of the documentation site, as its tests import them."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "tools" / "docs"
HELP = ROOT / "comfy_nodes" / "web" / "docs"

sys.path.insert(0, str(TOOLS))
import bar_chart  # noqa: E402
import build  # noqa: E402
import cli_page  # noqa: E402
import links  # noqa: E402
import plots  # noqa: E402

__all__ = ["HELP", "ROOT", "bar_chart", "build", "cli_page", "links", "plots"]
