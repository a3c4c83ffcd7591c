"""Reads the demo's photograph and clip, and writes pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InvalidArgument

if TYPE_CHECKING:
    from PIL import Image

# The VAE's latents stand for 8 x 8 pixels and, after the first frame, for 4 frames.
MULTIPLE = 8
FRAMES_PER_LATENT = 4


def load_photo(path: Path, width: int) -> np.ndarray:
    """A picture file as [1, H, W, 3] float32 in [0, 1].

    Wider ones are scaled down to `width`; both sides are cropped evenly to multiples of 8.
    """
    from PIL import ImageOps

    with _open("photo", path) as image:
        return _frames([ImageOps.exif_transpose(image)], width)


def load_clip(path: Path, width: int, frames: int) -> np.ndarray:
    """The first `frames` pictures of an animation as [T, H, W, 3] float32 in [0, 1].

    A shorter one is cut to the 4n + 1 frames that the VAE can represent.
    """
    from PIL import ImageSequence

    with _open("clip", path) as image:
        count = min(getattr(image, "n_frames", 1), frames)
        if count <= FRAMES_PER_LATENT:
            raise InvalidArgument(
                f"clip={path}: must be an animated WebP, GIF or PNG of at least "
                f"{FRAMES_PER_LATENT + 1} frames, not {count}"
            )
        count -= (count - 1) % FRAMES_PER_LATENT
        taken = [frame.copy() for _, frame in zip(range(count), ImageSequence.Iterator(image))]  # noqa: B905
    return _frames(taken, width)


def to_image(frame: np.ndarray) -> Image.Image:
    """A [H, W, 3] frame in [0, 1] as a picture."""
    from PIL import Image

    return Image.fromarray((frame.clip(0, 1) * 255 + 0.5).astype(np.uint8))


def difference_image(error: np.ndarray, gain: float) -> Image.Image:
    """A map of [H, W] absolute errors times `gain`: black, blue, red, yellow, white.

    One channel of heat is easier to judge than three of colour, and reads the same on a light and
    on a dark page.
    """
    from PIL import Image

    stops = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    colours = np.array([(0, 0, 0), (38, 42, 130), (196, 48, 74), (250, 170, 50), (255, 255, 240)])
    value = (error * gain).clip(0, 1)
    heat = [np.interp(value, stops, colours[:, channel]) for channel in range(3)]
    return Image.fromarray((np.stack(heat, -1) + 0.5).astype(np.uint8))


def save_animation(frames: list[Image.Image], path: Path, milliseconds: int = 80) -> None:
    """An animated WebP that repeats for ever."""
    first, *rest = frames
    first.save(path, save_all=True, append_images=rest, duration=milliseconds, loop=0, quality=85)


def _open(name: str, path: Path) -> Image.Image:
    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(path)
    except FileNotFoundError:
        raise InvalidArgument(f"{name}={path}: no such file") from None
    except (IsADirectoryError, PermissionError, UnidentifiedImageError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "no picture file"
        raise InvalidArgument(f"{name}={path}: cannot be read ({why})") from None


def _frames(images: list[Image.Image], width: int) -> np.ndarray:
    from PIL import Image

    arrays = []
    for image in images:
        rgb = image.convert("RGB")
        if rgb.width > width:
            height = max(MULTIPLE, round(rgb.height * width / rgb.width))
            rgb = rgb.resize((width, height), Image.Resampling.LANCZOS)
        w, h = (side // MULTIPLE * MULTIPLE for side in rgb.size)
        if not w or not h:
            raise InvalidArgument(f"picture of {rgb.width} x {rgb.height}: must be at least 8 x 8")
        left, top = (rgb.width - w) // 2, (rgb.height - h) // 2
        arrays.append(np.asarray(rgb.crop((left, top, left + w, top + h)), np.float32) / 255)
    return np.stack(arrays)
