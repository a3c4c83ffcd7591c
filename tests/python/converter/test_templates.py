"""Every official template keeps every promise; tools/convert_templates.py tries more modes."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PATH = ROOT / "tools" / "convert_templates.py"

pytest.importorskip("comfyui_workflow_templates_json", reason="requirements-dev.txt has it")
spec = importlib.util.spec_from_file_location("convert_templates", PATH)
convert_templates = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = convert_templates
spec.loader.exec_module(convert_templates)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["`--checkpoints`", "`--wrap --budget sample=4`"])
def test_all_templates(mode) -> None:
    found = convert_templates.survey([mode], ["UI 0.4"])
    assert not found.broken
    assert found.files["UI 0.4"] > 500
    changed = found.outcomes[mode, "UI 0.4", "changed"]
    assert changed > 200 and found.outcomes[mode, "UI 0.4", "same bytes"] == changed


def test_the_table_is_of_the_version_that_is_tested() -> None:
    pins = (ROOT / "requirements-dev.txt").read_text().splitlines()
    (pin,) = [line for line in pins if line.startswith(convert_templates.PACKAGE)]
    text = (ROOT / "docs" / "convert.md").read_text(encoding="utf-8")
    assert f"`{convert_templates.PACKAGE}` {pin.partition('==')[2]}:" in text
