"""The picture on the report node: what the pixels say is what the timeline says."""

from __future__ import annotations

import io

import pytest

from truetile.memory import plot
from truetile.memory.chart import LINES, chart
from truetile.memory.core import CHANNELS

Image = pytest.importorskip("PIL.Image")
GIB = 2**30
# Where the scale begins and ends in the picture.
LEFT, RIGHT, TOP, BOTTOM = plot._LEFT, plot._RIGHT, plot._TOP, plot._BOTTOM


def timeline(values: dict[str, list[float | None]], phases: list[tuple] = ()) -> dict:
    """One sample a second; values in GiB by channel; phases as (name, begin, end, peak in GiB)."""
    count = len(next(iter(values.values())))
    rows = []
    for i in range(count):
        read = {name: column[i] for name, column in values.items()}
        cells = [None if read.get(c) is None else int(read[c] * GIB) for c in CHANNELS]
        rows.append([float(i), *cells])
    empty = {"peak": None, "rank": "none"}
    return {
        "device": "a card", "allocator": "native", "channels": list(CHANNELS), "samples": rows,
        "phases": [
            {
                "name": name, "begin": begin, "end": end,
                "channels": {c: {"peak": int(peak * GIB), "rank": "sample"} for c in CHANNELS}
                if peak is not None else dict.fromkeys(CHANNELS, empty),
            }
            for name, begin, end, peak in phases
        ],
    }  # fmt: skip


def picture(data: dict, theme: str = "dark"):
    image = Image.open(io.BytesIO(plot.png(data, theme)))
    image.load()
    assert image.format == "PNG" and image.mode == "RGB"
    return image


def near(pixel: tuple[int, ...], colour: str) -> bool:
    wanted = tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return all(abs(a - b) < 24 for a, b in zip(pixel, wanted, strict=True))


def colour_of(channel: str, theme: str) -> str:
    line = next(line for line in LINES if line[0] == channel)
    return line[3] if theme == "dark" else line[2]


def height(image, x: float, channel: str, theme: str) -> float:
    """The middle of the line's pixels in one column."""
    colour = colour_of(channel, theme)
    rows = [y for y in range(TOP - 8, BOTTOM + 9) if near(image.getpixel((round(x), y)), colour)]
    assert rows, f"no line of {channel} at {x}"
    return sum(rows) / len(rows)


@pytest.mark.parametrize("theme", plot.THEMES)
def test_the_lines_stand_where_the_readings_are(theme):
    """Read back from the pixels: 20 GiB are the height of the scale."""
    values = {"driver_used": [4.0] * 5 + [16.0] * 6, "torch_allocated": [2.0] * 11}
    image = picture(timeline(values), theme)
    span = BOTTOM - TOP
    for at, channel, gib in (
        (2.5, "driver_used", 4), (7.5, "driver_used", 16),
        (2.5, "torch_allocated", 2), (9.5, "torch_allocated", 2),
    ):  # fmt: skip
        x = LEFT + (RIGHT - LEFT) * at / 10
        assert abs(height(image, x, channel, theme) - (BOTTOM - span * gib / 20)) <= 1.5
    absent = colour_of("own_process", theme)
    pixels = {image.getpixel((x, y)) for x in range(LEFT, RIGHT, 3) for y in range(TOP, BOTTOM, 2)}
    assert not any(near(pixel, absent) for pixel in pixels), "a channel without readings"


def test_dark_and_light_differ_in_paper_and_ink():
    data = timeline({"ram": [1.0, 2.0]})
    dark, light = (picture(data, theme).convert("L") for theme in plot.THEMES)
    assert dark.getpixel((3, 3)) < 40 and light.getpixel((3, 3)) > 240
    # The name of the device: bright on dark, dark on bright.
    box = (LEFT, 20, LEFT + 120, 60)
    assert dark.crop(box).getextrema()[1] > 200 and light.crop(box).getextrema()[0] < 60


def test_phases_are_bands_and_boxes_of_their_length():
    phases = [("encode", 0.0, 4.0, 3.0), ("decode", 4.0, 10.0, 7.0)]
    data = timeline({"driver_used": [3.0] * 11}, phases)
    drawn = chart(data)
    assert [(p.name, p.begin, p.end, p.peak) for p in drawn.phases] == [
        ("encode", 0.0, 4.0, 3 * GIB), ("decode", 4.0, 10.0, 7 * GIB)
    ]  # fmt: skip
    image = picture(data)
    row = TOP + 5
    edge = LEFT + (RIGHT - LEFT) * 0.4
    assert image.getpixel((round(edge - 9), row)) != image.getpixel((round(edge + 9), row))
    strip = sum(plot._STRIP) // 2
    changes = [
        x for x in range(LEFT + 4, RIGHT - 4)
        if near(image.getpixel((x, plot._STRIP[1] - 2)), "#14171c")
    ]  # fmt: skip
    assert changes and abs(sum(changes) / len(changes) - edge) < 2, "the gap between the two"
    assert strip < image.height


def test_a_spike_of_one_reading_stays():
    values = [1.0] * 9000
    values[8000] = 9.0
    drawn = chart(timeline({"driver_used": values}))
    assert len(drawn.lines["driver_used"]) <= 1300
    at, count = drawn.highest("driver_used")
    assert count == 9 * GIB and abs(at - 8000) < 1
    assert drawn.top == 10 * GIB and drawn.marks == [0, 2.5, 5, 7.5, 10]


def test_what_was_before_the_first_phase_is_left_out():
    """A server that was idle for an hour must not squeeze the run into a corner."""
    data = timeline({"driver_used": [1.0] * 3600 + [5.0] * 20}, [("run", 3600.0, 3619.0, 5.0)])
    drawn = chart(data)
    assert drawn.end == 19 and min(count for _, count in drawn.lines["driver_used"]) == 5 * GIB


@pytest.mark.parametrize(
    "data",
    [
        timeline({"ram": [None, None]}),
        timeline({"ram": [0.0]}),
        timeline({"ram": [3.0]}, [("one", 0.0, 0.0, None)]),
        timeline({"ram": [1.0, 2.0] * 50}, [(f"phase {i}", i, i + 1.0, 1.0) for i in range(99)]),
        timeline({"ram": [1.0, 1.0]}, [("a very long name " * 40 + "\n復号 🎬", 0.0, 1.0, 1.0)]),
        timeline({c: [1000.0, 2000.0] for c in CHANNELS}),
    ],
    ids=["nothing read", "zero", "one reading", "99 phases", "long name", "terabytes"],
)
def test_odd_runs_give_a_picture(data):
    for theme in plot.THEMES:
        assert picture(data, theme).size == (1280, 680)
