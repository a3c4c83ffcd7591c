"""Tests against a real ComfyUI. They need COMFYUI_DIR; COMFYUI_PYTHON is the interpreter for it."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # pytest's importlib mode leaves siblings out

from server import REPOSITORY, ComfyServer, python_of_comfyui  # noqa: E402

SKIP_LINE = (
    "COMFYUI_DIR is not set: not tested against a real ComfyUI "
    "(make test-comfyui COMFYUI_DIR=... COMFYUI_PYTHON=...)"
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    real = [item for item in items if HERE in item.path.parents and "comfyui" in item.fixturenames]
    for item in real:
        item.add_marker(pytest.mark.comfyui)
    if not os.environ.get("COMFYUI_DIR"):
        # Taken out here and named once below: a skip would print a line for each test function.
        items[:] = [item for item in items if item not in real]
        config.hook.pytest_deselected(items=real)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not os.environ.get("COMFYUI_DIR"):
        terminalreporter.write_line(f"SKIPPED tests/comfyui: {SKIP_LINE}")


@pytest.fixture(scope="session")
def comfyui() -> Path:
    """The ComfyUI checkout."""
    path = Path(os.environ["COMFYUI_DIR"]).resolve()
    assert (path / "main.py").is_file(), f"COMFYUI_DIR={path}: holds no main.py"
    return path


@pytest.fixture(scope="session")
def server(comfyui, tmp_path_factory):
    """One running ComfyUI for all tests; the pack's folder must be as it was when it ends."""
    # A terminated pytest must still reach the `finally` below.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    before = _files(REPOSITORY)
    running = ComfyServer(comfyui, python_of_comfyui(), tmp_path_factory.mktemp("comfyui") / "base")
    try:
        running.start()
        yield running
    finally:
        running.stop()
    written = _files(REPOSITORY) - before
    assert not written, f"ComfyUI wrote into the pack's folder: {sorted(written)[:5]}"


def _files(root: Path) -> set[Path]:
    """What lies in the folders that ComfyUI imports from."""
    folders = (root / "comfy_nodes", root / "truetile")
    found = {path for folder in folders for path in folder.rglob("*")}
    return {path for path in found if path.suffix == ".pyc"}
