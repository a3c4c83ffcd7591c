"""The timeline as a picture for the node, by Pillow, which ComfyUI needs anyway."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

from .allocator import RAM
from .chart import GIB, LINES, Chart, Stretch, chart
from .core import say_bytes

THEMES = ("dark", "light")
_WIDTH, _HEIGHT = 1280, 680
_LEFT, _RIGHT, _TOP, _BOTTOM = 132, 1240, 172, 540
_STRIP = (590, 650)  # of the phases, below the seconds
_FINE = 2  # drawn larger and scaled down: Pillow's lines have hard edges


@dataclass(frozen=True)
class _Colours:
    paper: str
    ink: str
    soft: str
    rule: str
    band: str
    line: int  # which colour of LINES


_COLOURS = {
    "dark": _Colours("#14171c", "#f3f4f6", "#a7afba", "#2d333b", "#1f252d", 3),
    "light": _Colours("#ffffff", "#111827", "#4b5563", "#e5e7eb", "#f3f4f6", 2),
}


def png(timeline: dict[str, Any], theme: str = "dark") -> bytes:
    """A PNG of `Monitor.timeline()`: GiB over seconds, the highest reading, and the phases.

    theme: one of THEMES. Raises KeyError for another one, ImportError without Pillow.
    """
    picture = _Picture(_COLOURS[theme])
    picture.write((_LEFT, 24), timeline["device"], 30, picture.colours.ink)
    if timeline["allocator"] != RAM:
        picture.write((_LEFT, 64), f"allocator {timeline['allocator']}", 22, picture.colours.soft)
    drawn = chart(timeline)
    if drawn is None:
        picture.write((_LEFT, 300), "No reading was taken in this run.", 26, picture.colours.ink)
    else:
        _phases(picture, drawn)
        _scale(picture, drawn)
        _legend(picture, drawn)
        _lines(picture, drawn)
    file = io.BytesIO()
    # Plain means: a sharper filter overshoots and gives thin lines another colour.
    picture.image.reduce(_FINE).save(file, "PNG")
    return file.getvalue()


class _Picture:
    """Coordinates are those of the finished picture."""

    def __init__(self, colours: _Colours) -> None:
        from PIL import Image, ImageDraw

        self.colours = colours
        self.image = Image.new("RGB", (_WIDTH * _FINE, _HEIGHT * _FINE), colours.paper)
        self._draw = ImageDraw.Draw(self.image, "RGBA")

    def write(
        self, at: tuple[float, float], text: str, size: int, colour: str, anchor: str = "la",
        halo: bool = False,
    ) -> None:  # fmt: skip
        # With an edge in the colour of the paper: a line behind it must not cross it out.
        edge = {"stroke_width": 3 * _FINE, "stroke_fill": self.colours.paper} if halo else {}
        self._draw.text(_fine(at), text, fill=colour, font=_font(size), anchor=anchor, **edge)

    def width(self, text: str, size: int) -> float:
        return self._draw.textlength(text, font=_font(size)) / _FINE

    def line(self, at: list[tuple[float, float]], colour: str, width: float) -> None:
        points = [_fine(point) for point in at]
        self._draw.line(points, fill=colour, width=round(width * _FINE), joint="curve")

    def area(self, at: list[tuple[float, float]], colour: str) -> None:
        self._draw.polygon([_fine(point) for point in at], fill=colour)

    def box(self, begin: tuple[float, float], end: tuple[float, float], colour: str) -> None:
        self._draw.rectangle([_fine(begin), _fine(end)], fill=colour)

    def dot(self, at: tuple[float, float], radius: float, colour: str) -> None:
        x, y = _fine(at)
        r = radius * _FINE
        self._draw.ellipse([x - r, y - r, x + r, y + r], fill=colour)


def _fine(at: tuple[float, float]) -> tuple[float, float]:
    return at[0] * _FINE, at[1] * _FINE


def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size * _FINE)


def _x(drawn: Chart, seconds: float) -> float:
    return _LEFT + (_RIGHT - _LEFT) * seconds / drawn.end


def _y(drawn: Chart, count: float) -> float:
    return _BOTTOM - (_BOTTOM - _TOP) * count / drawn.top


def _scale(picture: _Picture, drawn: Chart) -> None:
    colours = picture.colours
    for mark in drawn.marks:
        y = _y(drawn, mark * GIB)
        picture.line([(_LEFT, y), (_RIGHT, y)], colours.rule, 1.5)
        picture.write((_LEFT - 14, y), f"{mark:g} GiB", 22, colours.soft, "rm")
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = _LEFT + (_RIGHT - _LEFT) * share
        anchor = "la" if share == 0 else "ra" if share == 1 else "ma"
        picture.write((x, _BOTTOM + 10), _seconds(drawn.end * share), 22, colours.soft, anchor)


def _seconds(count: float) -> str:
    if count < 1:
        return f"{1000 * count:.0f} ms" if count else "0 s"
    return f"{count:.1f} s" if count < 30 else f"{count:.0f} s"


def _legend(picture: _Picture, drawn: Chart) -> None:
    x, y = float(_LEFT), 116.0
    for channel, title, *_ in LINES:
        if channel not in drawn.lines:
            continue
        width = 44 + picture.width(title, 22)
        if x + width > _RIGHT:
            x, y = float(_LEFT), y + 32
        picture.line([(x, y), (x + 32, y)], _colour(picture, channel), 5)
        picture.write((x + 42, y), title, 22, picture.colours.ink, "lm")
        x += width + 32


def _lines(picture: _Picture, drawn: Chart) -> None:
    first = next(iter(drawn.lines))
    for channel, line in drawn.lines.items():
        path = [(_x(drawn, at), _y(drawn, count)) for at, count in line]
        if channel == first:
            ground = [(path[-1][0], _BOTTOM), (path[0][0], _BOTTOM)]
            picture.area([*path, *ground], _colour(picture, channel) + "28")
        if len(path) > 1:
            picture.line(path, _colour(picture, channel), 3)
    at, count = drawn.highest(first)
    x, y = _x(drawn, at), _y(drawn, count)
    picture.dot((x, y), 6, _colour(picture, first))
    text = f"highest {say_bytes(count)}"
    right = x + 14 + picture.width(text, 24) > _RIGHT
    beside = (x - 14, y - 10) if right else (x + 14, y - 10)
    picture.write(beside, text, 24, picture.colours.ink, "rs" if right else "ls", halo=True)


def _phases(picture: _Picture, drawn: Chart) -> None:
    """Bands behind the lines, and below them the name and the peak of each, where they fit."""
    colours = picture.colours
    top, bottom = _STRIP
    for i, phase in enumerate(drawn.phases):
        left, right = _x(drawn, phase.begin), _x(drawn, phase.end)
        if i % 2 == 0:
            picture.box((left, _TOP), (right, _BOTTOM), colours.band)
        picture.box((left + 1, top), (max(left + 2, right - 1), bottom), colours.rule)
        for text, height, colour in _words(phase, colours):
            fitting = _fitting(picture, text, right - left - 16)
            picture.write((left + 9, height), fitting, 22, colour, "lm")
    if drawn.phases:
        picture.write((_LEFT - 14, top + 17), "phase", 22, colours.soft, "rm")
        picture.write((_LEFT - 14, bottom - 16), "peak", 22, colours.soft, "rm")


def _words(phase: Stretch, colours: _Colours) -> list[tuple[str, float, str]]:
    top, bottom = _STRIP
    # Pillow measures single lines only; no more letters than the picture is wide.
    words = [(" ".join(phase.name[:200].split()), top + 17, colours.ink)]
    if phase.peak is not None:
        words.append((say_bytes(phase.peak), bottom - 16, colours.soft))
    return words


def _fitting(picture: _Picture, text: str, width: float) -> str:
    """As much of `text` as fits; nothing rather than a letter or two."""
    if picture.width(text, 22) <= width:
        return text
    while len(text) > 3 and picture.width(text + "…", 22) > width:
        text = text[:-1]
    return f"{text}…" if len(text) > 3 else ""


def _colour(picture: _Picture, channel: str) -> str:
    return next(line for line in LINES if line[0] == channel)[picture.colours.line]
