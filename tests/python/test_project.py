"""Rules of the project that no other test would notice being broken."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

import truetile
from truetile.native.sources import SOURCES

ROOT = Path(__file__).resolve().parents[2]


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--", *patterns], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / line for line in listed.stdout.splitlines()]


def project() -> dict:
    if sys.version_info < (3, 11):
        pytest.skip("needs tomllib")
    import tomllib

    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_users_never_get_another_torch_or_numpy() -> None:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    lines += project()["project"]["dependencies"]
    named = {re.split(r"[^\w-]", line)[0].lower() for line in lines if not line.startswith("#")}
    assert not named & {"torch", "torchvision", "torchaudio", "numpy"}


def test_one_version_everywhere() -> None:
    assert project()["project"]["version"] == truetile.__version__


def test_the_stamp_is_that_of_the_sources() -> None:
    spec = importlib.util.spec_from_file_location("stamp", ROOT / "tools" / "stamp_sources.py")
    stamp = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(stamp)
    assert stamp.digest() == SOURCES, "C++ has changed: run tools/stamp_sources.py and build"


def test_the_registry_finds_what_it_needs() -> None:
    meta = project()
    comfy = meta["tool"]["comfy"]
    assert comfy["PublisherId"] and comfy["DisplayName"] and comfy["requires-comfyui"]
    assert "comfyui" not in meta["project"]["name"].lower()
    assert (ROOT / meta["project"]["license"]["file"]).is_file()


def test_layers_go_one_way() -> None:
    torch_include = re.compile(r"#include\s*<(torch|ATen|c10)/")
    for path in tracked("csrc/core/*", "csrc/kernels/*", "csrc/bindings/*"):
        assert not torch_include.search(path.read_text()), path
    python_in_core = re.compile(r"#include\s*<(pybind11|Python\.h)")
    for path in tracked("csrc/core/*", "csrc/kernels/*", "csrc/ops/*"):
        assert not python_in_core.search(path.read_text()), path
    comfy_import = re.compile(r"^\s*(from|import)\s+comfy", re.MULTILINE)
    for path in tracked("truetile/*.py"):
        assert not comfy_import.search(path.read_text()), path
    absolute = re.compile(r"^\s*(from|import)\s+truetile", re.MULTILINE)
    for path in tracked("truetile/*.py", "comfy_nodes/*.py", "__init__.py"):
        assert not absolute.search(path.read_text()), f"{path}: ComfyUI loads relative imports only"


def test_no_build_product_is_tracked() -> None:
    products = (".so", ".pyd", ".dll", ".o", ".pyc", ".whl")
    assert not [path for path in tracked() if path.suffix in products]


def test_importing_the_package_needs_no_torch() -> None:
    code = "import sys; sys.modules['torch'] = None; import truetile; print(truetile.__version__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
