"""`truetile doctor --server`: what ComfyUI's own process says of its allocator."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest's importlib mode leaves siblings out

from fake_server import answering

from truetile import cli


def test_doctor_asks_a_server_that_is_silent_or_has_no_nodes(capsys) -> None:
    pytest.importorskip("torch")
    nobody = "http://127.0.0.1:9"
    assert cli.main(["doctor", "--server", nobody]) == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"ComfyUI: {nobody}: ")
    with answering({}) as url:
        assert cli.main(["doctor", "--server", url]) == 1
        said = capsys.readouterr().out
    assert f"ComfyUI at {url}: this ComfyUI has no TrueTile nodes that can tell" in said
    answer = {"device": "a card", "text": "torch's allocator: native\n  advice: none"}
    with answering({"/truetile/memory/allocator": answer}) as url:
        assert cli.main(["doctor", "--server", url]) == 0
    said = capsys.readouterr().out
    assert f"ComfyUI at {url}: a card\n  torch's allocator: native\n    advice: none\n" in said


def test_a_server_that_is_none(capsys) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["doctor", "--server", "here"])
    said = capsys.readouterr().err
    assert end.value.code == 2 and "server=here: must be a URL such as" in said
