"""The pack in custom_nodes on a machine without a compiler: nothing is built, and it works."""

from __future__ import annotations

import os
import subprocess

import pytest
from prompts import Graph, give_latent, saved, settings_of, smooth_latent
from server import PACK_NAME, REPOSITORY, ComfyServer, python_of_comfyui

HIDDEN = ("TRUETILE_LIB_DIR", "PYTHONPATH", "CC", "CXX", "CUDACXX")


@pytest.fixture(params=["clone", "registry"])
def pack(request, tmp_path):
    """What `git clone` of the last commit brings, or ComfyUI's registry: no sources of C++."""
    path = tmp_path / PACK_NAME
    done = subprocess.run(
        ["git", "clone", "-q", str(REPOSITORY), str(path)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("not a git checkout")
    if request.param == "registry":
        command = ["git", "ls-files", "-z", "--cached", "--ignored", "--exclude-from=.comfyignore"]
        left_out = subprocess.run(command, cwd=path, capture_output=True, text=True, check=True)
        for name in filter(None, left_out.stdout.split("\0")):
            (path / name).unlink()
    return path


@pytest.fixture
def bare(monkeypatch, pack, tmp_path):
    """No program is on PATH (the pack is fetched by then), no variable leads to libraries."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for name in HIDDEN:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.slow
def test_it_decodes_without_a_compiler_and_says_so(comfyui, pack, bare, tmp_path):
    running = ComfyServer(comfyui, python_of_comfyui(), tmp_path / "base", pack=pack)
    try:
        running.start()
        graph = Graph()
        latent = give_latent(running, "bare", smooth_latent(16, 2, 12, 16))
        source = graph.add("LoadLatent", latent=latent)[0]
        node = graph.add("TrueTileVAEDecode", samples=source, vae=graph.vae(), **settings_of({}))
        graph.save("bare", images=node[0])
        shown = graph.add("PreviewAny", source=node[1])
        report = running.run(graph.prompt)[shown.name]["text"][0]
    finally:
        running.stop()
    assert saved(running, "bare").shape == (5, 96, 128, 3)
    assert "equal to the untiled result" in report
    assert "native kernels were not used: " in report and "not found in" in report

    done = subprocess.run(
        [python_of_comfyui(), "-m", "truetile.cli", "doctor"],
        cwd=pack,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "truetile_ops: not used, truetile_ops not found in" in done.stdout
    sources = (pack / "CMakeLists.txt").is_file()
    assert sources == ("or build it with a C++20 compiler" in done.stdout)
    assert "-m pip install truetile-" in done.stdout
