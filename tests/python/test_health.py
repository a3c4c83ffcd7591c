"""What `truetile doctor` finds, and the line that says how to get the rest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from truetile import cli, health, native
from truetile.native import locate

torch = pytest.importorskip("torch")
ALL_TOOLS = ("c++", "nvcc", "cmake", "ninja")


@pytest.fixture
def tools(monkeypatch, tmp_path):
    """Puts only the named programs on PATH; the machine's own are hidden."""

    def only(*names: str) -> None:
        for name in names:
            program = tmp_path / (f"{name}.exe" if sys.platform == "win32" else name)
            program.touch(mode=0o755)
        monkeypatch.setenv("PATH", str(tmp_path))

    return only


@pytest.fixture
def reasons(monkeypatch):
    """Says of each library that it does not serve, for the reasons given."""

    def say(**why: str) -> dict[str, health.Finding]:
        entries = {name: {"available": False, "reason": reason} for name, reason in why.items()}
        monkeypatch.setattr(native, "status", lambda: {**entries, "calls": {}})
        return {finding.name: finding for finding in health.libraries(with_torch=True)}

    monkeypatch.setattr(locate, "enabled", lambda: True)
    return say


def test_what_serves_is_named_by_its_file(monkeypatch) -> None:
    if native.why_twin("cpu"):
        pytest.skip("no native ops")
    found = {finding.name: finding for finding in health.libraries(with_torch=True)}
    assert found["truetile_ops"].found == str(locate.library("truetile_ops"))
    assert str(found["truetile_ops"]) == f"truetile_ops: {locate.library('truetile_ops')}"


def test_without_torch_only_the_core_is_asked() -> None:
    assert [finding.name for finding in health.libraries(with_torch=False)] == [locate.CORE]


def test_without_a_compiler_the_wheel_is_named(tools, reasons) -> None:
    tools("cmake", "ninja")
    got = reasons(truetile_ops="truetile_ops not found in a, b")["truetile_ops"]
    assert got.why == "not used, truetile_ops not found in a, b"
    tag = "cp{}{}".format(*sys.version_info)
    assert f"pip install truetile-{health.__version__}-{tag}-{tag}-*.whl" in got.get
    assert "or build it with a C++20 compiler (docs/install/compiler.md)" in got.get
    assert (health.PACK / "docs" / "install" / "compiler.md").is_file()


def test_with_a_compiler_the_build_is_named(tools, reasons) -> None:
    tools("c++", "cmake", "ninja")
    got = reasons(truetile_ops="not found in a")["truetile_ops"]
    assert got.get.startswith(f"cd {health.PACK} && ")
    assert got.get.endswith(f"{sys.executable} -m pip install --no-build-isolation --no-deps .")


def test_pythons_own_headers_may_be_missing(tools, monkeypatch, tmp_path) -> None:
    tools("c++", "cmake", "ninja")
    monkeypatch.setattr(health.sysconfig, "get_path", lambda _: str(tmp_path))
    assert "or build it with Python's headers (docs/install/" in health.install("truetile_ops")
    tmp_path.joinpath("Python.h").touch()
    assert health.install("truetile_ops").endswith("pip install --no-build-isolation --no-deps .")


def test_build_packages_that_are_missing_are_got_first(tools, monkeypatch) -> None:
    tools("c++", "ninja")
    there = ("pybind11", "ninja")
    monkeypatch.setattr(health, "_importable", lambda module: module in there)
    pip = f"{sys.executable} -m pip install"
    assert health.install("truetile_ops") == (
        f"cd {health.PACK} && {pip} scikit-build-core cmake"
        f" && {pip} --no-build-isolation --no-deps ."
    )


def test_a_folder_of_that_name_is_no_package(tools, monkeypatch, tmp_path) -> None:
    """In the pack's folder, where the doctor is asked, Python takes `cmake/` for one."""
    tools("c++", "ninja")
    pack = tmp_path / "pack"
    (pack / "cmake").mkdir(parents=True)
    monkeypatch.setattr("sys.path", [str(pack)])
    monkeypatch.delitem(sys.modules, "cmake", raising=False)
    assert " pybind11 cmake " in health.install("truetile_ops")


def test_the_cuda_library_needs_nvcc_too(tools, reasons, monkeypatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    tools("c++", "cmake", "ninja")
    assert (
        "nvcc of the CUDA toolkit"
        in reasons(truetile_ops_cuda="not found")["truetile_ops_cuda"].get
    )
    tools(*ALL_TOOLS)
    assert "nvcc" not in reasons(truetile_ops_cuda="not found")["truetile_ops_cuda"].get


def test_an_installed_wheel_is_not_told_to_build(tools, monkeypatch, tmp_path) -> None:
    tools(*ALL_TOOLS)
    monkeypatch.setattr(health, "PACK", tmp_path)
    assert health.install("truetile_ops").endswith("-*.whl")
    assert "installed wheel" in health.comfyui().why
    assert "git clone" in health.comfyui().get


@pytest.mark.parametrize(
    ("cuda", "reason", "get"),
    [
        (None, "torch 2.13.0+cpu is built without CUDA", "a CUDA build of torch"),
        ("13.0", "x.so cannot run here: CUDA driver version is insufficient", "NVIDIA driver"),
        ("13.0", "x.so cannot run here: no kernel image is available", "ARCHITECTURES=native ."),
        ("13.0", "torch 2.9.1: the op libraries need 2.10 or newer", "torch 2.10 or newer"),
    ],
)
def test_each_cause_has_its_own_line(tools, reasons, monkeypatch, cuda, reason, get) -> None:
    tools(*ALL_TOOLS)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    assert get in reasons(truetile_ops_cuda=reason)["truetile_ops_cuda"].get


def test_switched_off(capsys) -> None:
    with locate.without_native():
        assert cli.main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("truetile_ops: not used, "))
    assert lines[at + 1] == "  to get it: unset TRUETILE_NATIVE"


@pytest.mark.parametrize(
    ("version", "start"),
    [("0.3.64", "0.3.64 in "), ("0.33.1", "0.33.1 in "), ("0.3.63", "too old, 0.3.63 in ")],
)
def test_the_comfyui_around_it(monkeypatch, tmp_path, version, start) -> None:
    pack = tmp_path / "custom_nodes" / "truetile"
    (pack / "comfy_nodes").mkdir(parents=True)
    (tmp_path / "comfyui_version.py").write_text(f'# made\n__version__ = "{version}"\n')
    monkeypatch.setattr(health, "PACK", pack)
    finding = health.comfyui()
    assert str(finding).startswith(f"ComfyUI: {start}{tmp_path}")
    assert ("update ComfyUI to 0.3.64 or newer" in str(finding)) == (version == "0.3.63")


def test_no_comfyui_around_it(monkeypatch, tmp_path) -> None:
    (tmp_path / "comfy_nodes").mkdir()
    monkeypatch.setattr(health, "PACK", tmp_path)
    assert "is not in a custom_nodes folder" in health.comfyui().why


def test_what_the_demo_needs(monkeypatch) -> None:
    monkeypatch.setattr(health, "_importable", lambda module: module != "PIL")
    assert str(health.demo()) == (
        f"truetile demo: needs pillow\n  to get it: {sys.executable} -m pip install pillow"
    )


def test_without_torch_the_doctor_says_so_and_fails() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from truetile import cli; sys.exit(cli.main(['doctor']))"
    )
    variables = os.environ | {"PYTHONPATH": str(health.PACK)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=variables,
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "torch: missing (" in done.stdout
    assert (
        "  to get it: run this in the Python that runs ComfyUI, which brings torch" in done.stdout
    )
    assert "truetile_ops:" not in done.stdout and "_truetile_core: " in done.stdout
