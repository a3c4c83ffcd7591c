"""The workflow and the prompt that ComfyUI puts into the PNG and WebP files it saves."""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Callable
from typing import NamedTuple

from ..errors import WorkflowError

NAMES = ("workflow", "prompt")
_PNG = b"\x89PNG\r\n\x1a\n"
_EXIF_HEAD = b"Exif\x00\x00"


class Picture(NamedTuple):
    """`texts` by name: JSON of the workflow and the prompt. `with_texts` gives the file anew."""

    texts: dict[str, str]
    with_texts: Callable[[dict[str, str]], bytes]


def open_picture(data: bytes) -> Picture | None:
    """None for what is no picture. Raises WorkflowError for one without a workflow."""
    if data.startswith(_PNG):
        picture = _open_png(data)
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        picture = _open_webp(data)
    else:
        return None
    if not picture.texts:
        raise WorkflowError("the picture carries no workflow: ComfyUI did not save it, or another "
                            "program has saved it again")  # fmt: skip
    return picture


def _open_png(data: bytes) -> Picture:
    chunks = _png_chunks(data)
    found = {index: _png_text(kind, body) for index, (kind, body) in enumerate(chunks)}
    places = {text[0]: (index, text[1]) for index, text in found.items() if text is not None}
    texts = {name: places[name][1] for name in NAMES if name in places}

    def with_texts(new: dict[str, str]) -> bytes:
        changed = list(chunks)
        for name, text in new.items():
            body = name.encode() + b"\0" + _ascii(text).encode()
            changed[places[name][0]] = (b"tEXt", body)
        return _PNG + b"".join(_png_chunk(kind, body) for kind, body in changed) + tail

    tail = data[len(_PNG) + sum(12 + len(body) for _, body in chunks) :]
    return Picture(texts, with_texts)


def _png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    chunks, at = [], len(_PNG)
    while not chunks or chunks[-1][0] != b"IEND":
        if at + 12 > len(data):
            raise WorkflowError(f"byte {at}: expected another PNG chunk, the file ends")
        (length,) = struct.unpack_from(">I", data, at)
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        check = data[at + 8 + length : at + 12 + length]
        if check != struct.pack(">I", zlib.crc32(kind + body)):
            raise WorkflowError(f"byte {at}: expected a whole PNG chunk, its checksum is wrong")
        chunks.append((kind, body))
        at += 12 + length
    return chunks


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png_text(kind: bytes, body: bytes) -> tuple[str, str] | None:
    """Keyword and text of a chunk that holds one we know."""
    keyword, _, rest = body.partition(b"\0")
    if kind not in (b"tEXt", b"zTXt", b"iTXt") or keyword.decode("latin-1") not in NAMES:
        return None
    name = keyword.decode("latin-1")
    try:
        if kind == b"tEXt":
            return name, _plain(rest)
        if kind == b"zTXt":
            return name, _plain(zlib.decompress(rest[1:]))
        # Whether it is packed, how, a language, the keyword in that language, the text.
        _, _, text = rest[2:].split(b"\0", 2)
        return name, (zlib.decompress(text) if rest[:1] == b"\1" else text).decode("utf-8")
    except (zlib.error, ValueError):
        raise WorkflowError(f"the picture's {name!r} text is damaged") from None


def _plain(text: bytes) -> str:
    """Latin-1 by the standard, but UTF-8 as the editor reads it."""
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("latin-1")


def _open_webp(data: bytes) -> Picture:
    chunks = _riff_chunks(data)
    raw = next((body for kind, body in chunks if kind == b"EXIF"), b"")
    headed, exif = raw.startswith(_EXIF_HEAD), _exif(raw)
    places = {}
    for tag, value in exif.items():
        name, _, text = value.partition(":") if isinstance(value, str) else ("", "", "")
        if name.lower() in NAMES:
            places[name.lower()] = (tag, name, text)
    texts = {name: places[name][2] for name in NAMES if name in places}

    def with_texts(new: dict[str, str]) -> bytes:
        for name, text in new.items():
            tag, spelled, _ = places[name]
            exif[tag] = f"{spelled}:{_ascii(text)}"
        packed = (_EXIF_HEAD if headed else b"") + exif.tobytes().removeprefix(_EXIF_HEAD)
        bodies = [(kind, packed if kind == b"EXIF" else body) for kind, body in chunks]
        inner = b"".join(_riff_chunk(kind, body) for kind, body in bodies)
        return b"RIFF" + struct.pack("<I", 4 + len(inner)) + b"WEBP" + inner

    return Picture(texts, with_texts)


def _riff_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    chunks, at = [], 12
    while at + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, at + 4)
        if at + 8 + length > len(data):
            raise WorkflowError(f"byte {at}: expected a whole WebP chunk, the file ends")
        chunks.append((data[at : at + 4], data[at + 8 : at + 8 + length]))
        at += 8 + length + length % 2
    return chunks


def _riff_chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def _exif(body: bytes):
    try:
        from PIL import Image
    except ImportError:
        raise WorkflowError("WebP pictures need Pillow: pip install pillow") from None
    exif = Image.Exif()
    try:
        exif.load(body)
        dict(exif)  # values are read when they are asked for
    except Exception:  # Pillow raises what the damage happens to lead to
        raise WorkflowError("the picture's EXIF data is damaged") from None
    return exif


def _ascii(text: str) -> str:
    """JSON with escapes for all but ASCII, which is what both kinds of file hold safely."""
    return re.sub(r"[^\x00-\x7f]", lambda found: json.dumps(found.group())[1:-1], text)
