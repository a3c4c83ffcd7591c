"""Finding the native core: order, versions, reasons, and two copies of the package at once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import truetile
from truetile.native import locate
from truetile.native.sources import BUILD, SOURCES

PACKAGE = Path(truetile.__file__).parent


def _python(code: str, **environment: str) -> str:
    """What a fresh interpreter prints; the package's parent is on its path."""
    variables = {"PYTHONPATH": str(PACKAGE.parent), "PYTHONDONTWRITEBYTECODE": "1"} | environment
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def core_file() -> Path:
    path = locate.library(locate.CORE)
    if path is None:
        pytest.skip(f"no native core: {locate.reasons()}")
    return path


def test_switched_off():
    code = (
        "from truetile import plan; from truetile.native import locate\n"
        "print(plan.BACKEND, locate.library('truetile_ops'), locate.reasons()['_truetile_core'])"
    )
    found = _python(code, TRUETILE_NATIVE="0")
    assert found == "python None switched off by TRUETILE_NATIVE=0"


def test_the_environment_is_read_once_and_calls_may_do_without(monkeypatch: pytest.MonkeyPatch):
    """Every op asks; what the process began with stays."""
    before = locate.enabled()
    monkeypatch.setenv("TRUETILE_NATIVE", "0" if before else "1")
    assert locate.enabled() == before
    with locate.without_native(), locate.without_native():
        assert not locate.enabled()
    with pytest.raises(KeyError), locate.without_native():
        raise KeyError
    assert locate.enabled() == before


def test_a_missing_library_names_the_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    if not locate.enabled():
        pytest.skip("TRUETILE_NATIVE=0")
    monkeypatch.setenv("TRUETILE_LIB_DIR", str(tmp_path))
    assert locate.library("no_such_library") is None
    reason = locate.reasons()["no_such_library"]
    assert reason.startswith(f"no_such_library not found in {tmp_path}, ")
    assert str(PACKAGE / "_lib") in reason


def test_the_given_folder_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    if not locate.enabled():
        pytest.skip("TRUETILE_NATIVE=0")
    monkeypatch.setenv("TRUETILE_LIB_DIR", str(tmp_path))
    name = "libtruetile_ops.dll" if sys.platform == "win32" else "libtruetile_ops.so"
    (tmp_path / name).touch()
    assert locate.library("truetile_ops") == tmp_path / name


def test_a_broken_binary_is_a_reason_and_no_error(core_file: Path, tmp_path: Path):
    (tmp_path / core_file.name).write_bytes(b"not a library")
    code = (
        "from truetile import plan; from truetile.native import locate\n"
        "print(plan.BACKEND, locate.reasons()['_truetile_core'])"
    )
    found = _python(code, TRUETILE_LIB_DIR=str(tmp_path), TRUETILE_NATIVE="1")
    assert found.startswith(f"python {tmp_path / core_file.name} cannot be loaded: ")


def test_a_binary_of_another_version_is_refused(core_file: Path):
    code = (
        "import truetile; truetile.__version__ = '9.9.9'\n"
        "from truetile import plan; from truetile.native import locate\n"
        "print(plan.BACKEND, locate.reasons()['_truetile_core'])"
    )
    found = _python(code, TRUETILE_LIB_DIR=str(core_file.parent), TRUETILE_NATIVE="1")
    assert found.startswith(f"python {core_file} is version {BUILD}, ")
    assert f"this package 9.9.9+{SOURCES}" in found


def test_a_copy_under_another_package_name_shares_the_core(core_file: Path, tmp_path: Path):
    pack = tmp_path / "some_pack"
    ignored = shutil.ignore_patterns("__pycache__", "_lib")
    shutil.copytree(PACKAGE, pack / "truetile", ignore=ignored)
    (pack / "__init__.py").touch()
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from truetile import errors as a, plan as p\n"
        "from some_pack.truetile import errors as b, plan as q\n"
        "assert a is not b and p.BACKEND == q.BACKEND == 'native' and p.Span is q.Span\n"
        "for errors in (a, b):\n"
        "    try: p.even_grid(4, 2, 2)\n"
        "    except errors.InvalidArgument as error: print(error)\n"
    )
    found = _python(code, TRUETILE_LIB_DIR=str(core_file.parent), TRUETILE_NATIVE="1")
    assert found.splitlines() == ["overlap=2: must be in [0, 1] (tile=2)"] * 2
