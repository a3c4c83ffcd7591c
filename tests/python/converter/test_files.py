"""The command, and the files that it reads and writes."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import pytest
from converter.builders import api_prompt, text_to_image

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


def png(path: Path, **texts: object) -> Path:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for name, document in texts.items():
        info.add_text(name, json.dumps(document))
    Image.new("RGB", (4, 4), "red").save(path, pnginfo=info)
    return path


def webp(path: Path, **texts: object) -> Path:
    from PIL import Image

    image = Image.new("RGB", (4, 4), "red")
    exif = image.getexif()
    for index, (name, document) in enumerate(texts.items()):
        exif[0x0110 - index] = f"{name}:{json.dumps(document)}"
    image.save(path, exif=exif, lossless=True)
    return path


def texts_of(path: Path) -> dict[str, object]:
    from PIL import Image

    with Image.open(path) as image:
        if path.suffix == ".png":
            return {name: json.loads(text) for name, text in image.text.items()}
        found = [v.partition(":") for v in image.getexif().values() if isinstance(v, str)]
        return {name: json.loads(text) for name, _, text in found}


@pytest.mark.parametrize("make", [png, webp])
def test_pictures(capsys, tmp_path, make) -> None:
    from PIL import Image

    prompt = api_prompt()
    prompt["9"]["is_changed"] = [float("nan")]
    path = make(tmp_path / f"in.{make.__name__}", prompt=prompt, workflow=WORKFLOW, other=[1])
    out = tmp_path / f"out.{make.__name__}"
    assert run(capsys, path, out)[0] == 0
    assert texts_of(out)["prompt"]["8:2"]["class_type"] == "TrueTileVAEDecode"
    assert "TrueTileVAEDecode" in {n["type"] for n in texts_of(out)["workflow"]["nodes"]}
    assert texts_of(out)["other"] == [1]
    with Image.open(path) as a, Image.open(out) as b:
        assert a.tobytes() == b.tobytes()
    back = tmp_path / f"back.{make.__name__}"
    assert run(capsys, "--undo", out, back)[0] == 0
    assert json.dumps(texts_of(back)) == json.dumps(texts_of(path))
    if make is png:
        assert back.read_bytes() == path.read_bytes()


def test_a_picture_as_json(capsys, tmp_path) -> None:
    path = png(tmp_path / "in.png", prompt=api_prompt(), workflow=WORKFLOW)
    assert run(capsys, path)[0] == 0
    assert "TrueTileVAEDecode" in types(tmp_path / "in_truetile.json")
    code, _, error = run(capsys, path, tmp_path / "out.jpg")
    assert code == 2 and "must end with .json or .png" in error


def test_a_picture_of_which_only_the_workflow_was_converted(capsys, tmp_path) -> None:
    nothing = {"1": {"class_type": "LoadImage", "inputs": {}}}
    path = png(tmp_path / "in.png", workflow=WORKFLOW, prompt=nothing)
    assert run(capsys, path, tmp_path / "out.png")[0] == 0
    assert run(capsys, "--undo", tmp_path / "out.png", tmp_path / "back.png")[0] == 0
    assert (tmp_path / "back.png").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt"])
def test_packed_texts(capsys, tmp_path, kind) -> None:
    data = png(tmp_path / "plain.png", workflow=1).read_bytes()
    text = json.dumps(WORKFLOW, ensure_ascii=False).encode()
    head = b"workflow\0" + (b"\0" if kind == b"zTXt" else b"\1\0en\0workflow\0")
    body = kind + head + zlib.compress(text)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    path = tmp_path / "in.png"
    at = data.index(b"tEXt") - 4
    end = at + 12 + struct.unpack(">I", data[at : at + 4])[0]
    path.write_bytes(data[:at] + chunk + data[end:])
    assert run(capsys, path)[0] == 0
    assert "TrueTileVAEDecode" in types(tmp_path / "in_truetile.json")


@pytest.mark.parametrize("make", [png, webp])
def test_damaged_pictures(capsys, tmp_path, make) -> None:
    whole = make(tmp_path / f"whole.{make.__name__}", workflow=WORKFLOW).read_bytes()
    path = tmp_path / f"in.{make.__name__}"
    for size in (16, 30, len(whole) // 2, len(whole) - 6):
        path.write_bytes(whole[:size])
        code, _, error = run(capsys, path)
        assert (
            code == 2 and error.startswith(f"truetile convert: {path}: ") and error.count("\n") == 1
        )


def test_a_picture_without_a_workflow(capsys, tmp_path) -> None:
    code, _, error = run(capsys, png(tmp_path / "in.png", other=1))
    assert code == 2 and "the picture carries no workflow" in error
