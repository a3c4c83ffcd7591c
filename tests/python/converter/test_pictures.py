"""Pictures that carry a workflow: read, written anew, and damaged."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import pytest
from converter.builders import api_prompt
from converter.test_files import WORKFLOW, run, types


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
