"""The adapter against the real comfy.sd.VAE, in ComfyUI's own interpreter; see inside/."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from server import DEMO_VAE, environment, python_of_comfyui

INSIDE = Path(__file__).parent / "inside"
CHECKS = [
    name
    for path in sorted(INSIDE.glob("checks_*.py"))
    for name in re.findall(r"^def (check_\w+)", path.read_text(), re.MULTILINE)
]


@pytest.fixture(scope="module")
def outcomes(comfyui) -> dict[str, dict]:
    """What each check raised and why it was skipped, if so; one process for all of them."""
    ended = subprocess.run(
        [python_of_comfyui(), str(INSIDE / "run.py"), str(comfyui), str(DEMO_VAE)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env=environment(),
    )
    lines = [line for line in ended.stdout.splitlines() if line.startswith("{")]
    assert lines, ended.stderr[-4000:]
    return {line["check"]: line for line in map(json.loads, lines)}


@pytest.mark.parametrize("check", CHECKS)
def test_adapter(outcomes, check):
    if reason := outcomes[check]["skipped"]:
        pytest.skip(reason)
    assert not outcomes[check]["failure"], outcomes[check]["failure"]
