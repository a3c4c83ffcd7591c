"""Strips of one form: their views of buffers are the same, and most strips are of one."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from truetile.engine.exact_parts import residual_part
from truetile.engine.exact_steps import Strip, form_of, strips_of
from truetile.families import presets
from truetile.families.recognise import program_of
from truetile.native.stream import LayerKind, LayerRows, StreamLayer, ValueRows
from truetile.native.stream import Span as TwinSpan
from truetile.stream import Schedule, Segment, cuts

pytest.importorskip("diffusers")
CLIP = (3, 96, 5)  # frames, rows and columns of latents


def places(strip, layers, chunk, first: int) -> list:
    """Where in windows and padded inputs each layer reads, writes and keeps."""
    found = []
    begins = [value.window.begin for value in strip.values]
    for layer, rows, value, frames in zip(layers, strip.layers, strip.values, chunk, strict=True):
        shape = layer.shape
        reads = [(shape.source, rows.read)]
        if shape.residual >= 0:
            reads.append((shape.residual, residual_part(layer, rows, frames)[1]))
        for source, read in reads:
            if source > first:
                begin = begins[source - 1 - first]
                found.append((read.begin - begin, read.end - begin))
        own = value.window.begin
        for span in (rows.out, value.keep, value.window):
            found.append((span.begin - own if span.length else 0, span.length))
        found.append((rows.top, rows.bottom, rows.padded))
    return found


@pytest.mark.parametrize("rows", [1, 2, 3, 5])
@pytest.mark.parametrize("name", ["wan2.1", "wan2.2", "hunyuan1.5", "sdxl"])
def test_strips_of_one_form_have_the_same_places(name: str, rows: int) -> None:
    program = program_of(presets.empty_vae(name), "decode", still=name == "sdxl")
    shapes = program.shapes
    clip = (1 if name == "sdxl" else CLIP[0], *CLIP[1:], shapes[0].in_channels)
    # As early as strips may begin: attention needs whole frames.
    first = min(
        cut for cut in cuts(shapes, clip) if not any(shape.attends for shape in shapes[cut:])
    )
    scale = 16 if name in {"wan2.2", "hunyuan1.5"} else 8
    schedule = Schedule(shapes, clip, Segment(first, len(shapes), rows * scale), 2)
    strips, chunk = strips_of(schedule), schedule.chunk(0)
    forms = [form_of(strip, shapes[first:], first) for strip in strips]
    all_places = [places(strip, program.layers[first:], chunk, first) for strip in strips]
    pairs = itertools.combinations(zip(forms, all_places, strict=True), 2)
    for (one, here), (other, there) in pairs:
        assert one != other or here == there
    assert len(forms) < 6 or Counter(forms).most_common(1)[0][1] >= len(forms) // 2


FIRST = 3
LAYERS = (StreamLayer(LayerKind.CONV, 3, 8, 8), StreamLayer(LayerKind.CONV, 4, 8, 8, residual=4))


def strip_of(at: int = 0, **changes) -> Strip:
    """Two layers behind row `at`, with changes of the second one."""
    span = {name: TwinSpan(begin + at, end + at) for name, (begin, end) in SPANS.items()}
    numbers = {"top": 1, "bottom": 2, "padded": 9} | span | changes
    rows = LayerRows(**{name: numbers[name] for name in ("out", "read", "top", "bottom", "padded")})
    value = ValueRows(**{name: numbers[name] for name in ("window", "keep")})
    before = LayerRows(span["out"], span["read"], 1, 2, 9), ValueRows(span["window"], span["keep"])
    return Strip((before[0], rows), (before[1], value))


SPANS = {"out": (6, 10), "read": (5, 11), "window": (4, 10), "keep": (8, 10)}


@pytest.mark.parametrize("name", [*SPANS, "top", "bottom", "padded"])
def test_each_number_that_a_view_depends_on_counts(name: str) -> None:
    form = form_of(strip_of(), LAYERS, FIRST)
    assert form == form_of(strip_of(at=16), LAYERS, FIRST), "but not where the strip lies"
    changed = (
        [20]
        if name not in SPANS
        else [
            TwinSpan(SPANS[name][0] - 1, SPANS[name][1]),
            TwinSpan(SPANS[name][0], SPANS[name][1] + 1),
        ]
    )
    for value in changed:
        assert form != form_of(strip_of(**{name: value}), LAYERS, FIRST)
