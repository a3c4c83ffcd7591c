"""The pictures of the demo: PNG files for people, small WebP for the page."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .media import difference_image, to_image
from .words import equal_up_to_rounding

if TYPE_CHECKING:
    from PIL import Image

    from .bench import Subject

_DETAIL = (120, 160)  # rows and columns of a magnified detail
_VISIBLE = 1 / 255  # a difference picture below it, magnified, is black
_BLUR = 24  # pixels over which an error must hold to count as the worst place


@dataclass(frozen=True)
class Detail:
    """A magnified place: (top, left) and each picture's crop as a data URI."""

    whose: str
    at: tuple[int, int]
    crops: dict[str, str]


@dataclass(frozen=True)
class Pictures:
    """What the page shows of a subject. `shown` maps picture names to data URIs."""

    frame: int
    gain: float
    shown: dict[str, str]
    details: list[Detail]


def make_pictures(subject: Subject, folder: Path) -> Pictures:
    """Writes the PNG files of `subject` into `folder` and returns what the page embeds.

    Of a clip the files show the frame on which the tiled results differ most from the untiled
    one; the page shows all frames.
    """
    tiled = {name: o for name, o in subject.outcomes.items() if name != "untiled"}
    frame = int(np.argmax(sum(o.error.mean((1, 2)) for o in tiled.values())))
    gain = common_gain([o.error for o in tiled.values()])
    sequences = {"original": [to_image(f) for f in subject.frames]}
    for name, outcome in subject.outcomes.items():
        sequences[name] = [to_image(f) for f in outcome.frames]
        if name != "untiled":
            maps = [difference_image(e, gain) for e in outcome.error]
            sequences[f"{name} difference"] = maps
    shown = {}
    for name, images in sequences.items():
        images[frame].save(folder / f"{subject.name}_{name.replace(' ', '_')}.png")
        shown[name] = data_uri(images)
    return Pictures(frame, gain, shown, _details(subject, sequences, frame, gain))


def common_gain(errors: list[np.ndarray]) -> float:
    """One magnification for all methods: a power of two, so that few errors pass the scale."""
    top = max(float(np.quantile(error, 0.99)) for error in errors)
    return 256.0 if top == 0 else float(2 ** min(8, max(0, math.floor(math.log2(1 / top)))))


def worst_place(error: np.ndarray, size: tuple[int, int]) -> tuple[int, int]:
    """(top, left) of a crop of `size` around the largest error [H, W] that is no single pixel."""
    sums = np.pad(error, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    k = min(_BLUR, *error.shape)
    boxes = sums[k:, k:] - sums[:-k, k:] - sums[k:, :-k] + sums[:-k, :-k]
    row, column = np.unravel_index(np.argmax(boxes), boxes.shape)
    centre = (row + k // 2, column + k // 2)
    return tuple(
        int(min(max(c - want // 2, 0), max(0, have - want)))
        for c, want, have in zip(centre, size, error.shape, strict=True)
    )


def data_uri(images: list[Image.Image]) -> str:
    """A WebP of one picture, or an animation of several, as a data URI."""
    buffer = io.BytesIO()
    first, *rest = images
    more = {"save_all": True, "append_images": rest, "duration": 120, "loop": 0} if rest else {}
    first.save(buffer, "WEBP", quality=90, method=4, **more)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def card(subject: Subject, frame: int, gain: float, path: Path) -> None:
    """A small strip for documents: the untiled frame and the differences of both tiled ones."""
    from PIL import Image, ImageDraw

    which = f", frame {frame} of {len(subject.frames)}" if len(subject.frames) > 1 else ""
    images = [(f"untiled{which}", to_image(subject.outcomes["untiled"].frames[frame]))]
    for name in ("classic", "truetile"):
        outcome = subject.outcomes[name]
        quality = "equal" if math.isinf(outcome.psnr) else f"{outcome.psnr:.1f} dB"
        if equal_up_to_rounding(outcome):
            quality = "equal up to rounding"
        text = f"{subject.label(name)}: difference x {gain:.0f}, {quality}"
        images.append((text, difference_image(outcome.error[frame], gain)))
    width = 480
    height = round(images[0][1].height * width / images[0][1].width)
    bar, gap = 22, 6
    strip = Image.new("RGB", (3 * width + 2 * gap, height + bar), "white")
    draw = ImageDraw.Draw(strip)
    for index, (text, image) in enumerate(images):
        left = index * (width + gap)
        strip.paste(image.resize((width, height), Image.Resampling.LANCZOS), (left, bar))
        draw.text((left + 2, 3), text, fill="black", font_size=14)
    strip.save(path, "WEBP", quality=82, method=6)


def _details(
    subject: Subject, sequences: dict[str, list[Image.Image]], frame: int, gain: float
) -> list[Detail]:
    details = []
    for name in ("classic", "truetile"):
        error = subject.outcomes[name].error[frame]
        if error.max() * gain < _VISIBLE:
            continue
        size = tuple(min(a, b) for a, b in zip(_DETAIL, error.shape, strict=True))
        top, left = worst_place(error, size)
        # Twice nearly the same place says nothing new.
        if any(_close(detail.at, (top, left), size) for detail in details):
            continue
        box = (left, top, left + size[1], top + size[0])
        crops = {
            key: data_uri([sequences[key][frame].crop(box)])
            for key in (
                "untiled",
                "classic",
                "truetile",
                "classic difference",
                "truetile difference",
            )
        }
        details.append(Detail(name, (top, left), crops))
    return details


def _close(a: tuple[int, int], b: tuple[int, int], size: tuple[int, int]) -> bool:
    return all(abs(p - q) * 2 < n for p, q, n in zip(a, b, size, strict=True))
