"""The command, and the files that it reads and writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from converter.builders import text_to_image

from truetile import cli

WORKFLOW = text_to_image().document()


@pytest.fixture
def source(tmp_path) -> Path:
    path = tmp_path / "in.json"
    path.write_text(json.dumps(WORKFLOW, indent=2))
    return path


def run(capsys, *argv: object) -> tuple[int, str, str]:
    code = cli.main(["convert", *map(str, argv)])
    said = capsys.readouterr()
    return code, said.out, said.err


def types(path: Path) -> set[str]:
    return {node["type"] for node in json.loads(path.read_text())["nodes"]}


def test_a_new_file_and_back(capsys, source) -> None:
    before = source.read_bytes()
    code, out, _ = run(capsys, source)
    made = source.with_name("in_truetile.json")
    assert code == 0 and source.read_bytes() == before
    assert out.splitlines() == [
        "node 6: VAEDecode -> TrueTileVAEDecode",
        f"written: {made}",
    ]
    assert "TrueTileVAEDecode" in types(made)
    back = source.with_name("back.json")
    assert run(capsys, "--undo", made, back)[0] == 0
    assert back.read_bytes() == before


@pytest.mark.parametrize("flag", ["--check", "--diff"])
def test_looking_writes_nothing(capsys, source, flag) -> None:
    code, out, _ = run(capsys, source, flag)
    assert code == 0 and list(source.parent.iterdir()) == [source]
    assert "TrueTileVAEDecode" in out
    if flag == "--diff":
        assert (
            '-      "type": "VAEDecode",\n' in out
            and '+      "type": "TrueTileVAEDecode",\n' in out
        )


def test_the_diff_of_one_line_is_readable(capsys, source) -> None:
    source.write_text(json.dumps(WORKFLOW))
    out = run(capsys, source, "--diff")[1]
    assert '-      "type": "VAEDecode",\n' in out and len(out.splitlines()) < 200


def test_nothing_is_overwritten(capsys, source) -> None:
    other = source.with_name("other.json")
    other.write_text("precious")
    for out in (source, other):
        code, said, error = run(capsys, source, out)
        assert code == 2 and "written" not in said
        assert error == f"truetile convert: out={out}: is there already, and is not overwritten\n"
    assert other.read_text() == "precious" and json.loads(source.read_text()) == WORKFLOW


def test_in_place_keeps_copies(capsys, source) -> None:
    source.chmod(0o600)
    before = source.read_bytes()
    assert run(capsys, source, "--in-place")[0] == 0
    once = source.read_bytes()
    assert run(capsys, source, "--in-place", "--checkpoints")[0] == 0
    assert source.with_name("in.json.bak").read_bytes() == before
    assert source.with_name("in.json.bak2").read_bytes() == once
    assert "MemoryCheckpoint" in types(source) and source.stat().st_mode & 0o777 == 0o600
    assert run(capsys, source, "--in-place", "--undo")[0] == 0
    assert source.read_bytes() == before


def test_nothing_to_do_is_said(capsys, tmp_path) -> None:
    path = tmp_path / "in.json"
    path.write_text('{"nodes": [], "links": []}')
    assert run(capsys, path) == (0, f"{path}: nothing to convert\n", "")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"nodes": [\n  {"id" 1}\n]}', "line 2, column 9: not JSON, expected ':' delimiter"),
        (
            '{"nodes": [\n  {"id": 1}\n]}',
            "line 2, column 3: nodes[0].type: expected text, got null",
        ),
        ('{"nodes": 3}', "line 1, column 11: nodes: expected a list, got 3"),
        ("[]", "line 1, column 1: the document: expected an object"),
        ('{"a": 1}', "line 1, column 1: the document: expected a workflow with 'nodes', or an API"),
        (
            '{"nodes": [], "links": [[1, 2, "x", 3, 0, "*"]]}',
            'line 1, column 32: links[0][2]: expected a whole number, got "x"',
        ),
        ('{"1": {"class_type": "VAEDecode"}}', "line 1, column 7: 1.inputs: expected an object"),
        (
            '{"1": {"class_type": "x", "inputs": {}}, "2": 3}',
            "line 1, column 47: 2: expected an obj",
        ),
        (
            '{"1": {"class_type": "x", "inputs": {}}, "2": {"inputs": {}}}',
            "line 1, column 47: 2.class_type: expected text, got null",
        ),
    ],
)
def test_broken_files_are_told_with_their_place(capsys, tmp_path, text, message) -> None:
    path = tmp_path / "in.json"
    path.write_text(text)
    code, _, error = run(capsys, path)
    assert code == 2 and error.startswith(f"truetile convert: {path}: {message}")
    assert error.count("\n") == 1 and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["no.json"], "in=no.json: no such file"),
        (["IN", "--budget", "sample"], "budget=sample: must be PHASE=GIB"),
        (["IN", "--budget", "load=2"], "budget=load: the phase must be one of text encode, encode"),
        (["IN", "--budget", "sample=0"], "budget=sample=0.0: must be more than 0 GiB"),
        (["IN", "--budget", "sample=nan"], "budget=sample=nan: must be more than 0 GiB"),
        (["IN", "OUT.json", "--in-place"], "out=OUT.json: cannot be given together"),
        (["IN", "--undo", "--wrap"], "undo: cannot be given together with --wrap"),
        (["IN", "--undo"], "IN: the workflow has no record of a conversion to undo"),
    ],
)
def test_mistakes(capsys, source, argv, message) -> None:
    argv = [str(source) if part == "IN" else part for part in argv]
    code, _, error = run(capsys, *argv)
    assert code == 2 and error.startswith(f"truetile convert: {message}".replace("IN", str(source)))
    assert list(source.parent.iterdir()) == [source]


def test_budgets(capsys, source) -> None:
    out = source.with_name("out.json")
    assert (
        run(capsys, source, out, "--budget", "text_encode=1.5", "--budget", "decode=2GiB")[0] == 0
    )
    nodes = [n for n in json.loads(out.read_text())["nodes"] if n["type"] == "MemoryCheckpoint"]
    budgets = {node["widgets_values"][0]: node["widgets_values"][1:3] for node in nodes}
    assert budgets["text encode"] == ["offload", 1.5] and budgets["decode"] == ["offload", 2.0]
    assert budgets["save"] == ["observe", 0]
