"""Sends a photograph and a clip through a VAE untiled, by classic tiles and by TrueTile.

Writes report.html, report.json and PNG pictures, and prints time, peak memory, PSNR against untiled
and the seam metric.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from ..errors import InvalidArgument
from ..sizes import parse_bytes
from . import CommandFailed

HELP = "a photograph and a clip through a VAE, with pictures and figures"
# Below what untiled takes for either of them (about 1 GiB and 0.3 GiB).
DEFAULT_BUDGET = "256MiB"
_NEEDS = ("torch", "diffusers", "safetensors", "PIL", "numpy")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `truetile demo`."""
    add = parser.add_argument
    add("--out", type=Path, default=Path("demo"), metavar="DIR", help="folder to write (demo)")
    add(
        "--budget",
        type=_budget,
        default=DEFAULT_BUDGET,
        metavar="SIZE",
        help=f"peak memory above the weights, such as 512MiB or 0.5GiB ({DEFAULT_BUDGET})",
    )
    add("--photo", type=Path, metavar="FILE", help="a picture, scaled down to 1024 px wide")
    add(
        "--clip",
        type=Path,
        metavar="FILE",
        help="an animated WebP, GIF or PNG, scaled down to 368 px wide; its first 17 frames",
    )
    add("--vae", type=Path, metavar="FILE", help="a Wan 2.1 VAE as .safetensors (the embedded one)")
    add("--threads", type=_threads, default=_cores(), metavar="N", help="CPU threads (all cores)")
    add("--device", choices=("cpu", "cuda"), default="cpu", help="where to run (cpu)")


def run(args: argparse.Namespace) -> int:
    """Runs the demo and prints its figures."""
    _check_packages()
    from ..demo import run as demo

    options = demo.Options(
        out=args.out,
        budget=args.budget,
        photo=args.photo or demo.ASSETS / "demo_photo.jpg",
        clip=args.clip or demo.ASSETS / "demo_clip.webp",
        vae=args.vae or demo.ASSETS / "demo_vae.safetensors",
        threads=args.threads,
        device=args.device,
    )
    subjects = demo.run(options)
    print(demo.summary(subjects))
    print(f"\n{options.out / demo.PAGE}")
    return 0


def _check_packages() -> None:
    from importlib.util import find_spec

    missing = [name for name in _NEEDS if find_spec(name) is None]
    if missing:
        raise CommandFailed(
            f"needs {', '.join(missing)}, not installed in {sys.prefix}: "
            "pip install 'truetile[demo]'"
        )


def _budget(text: str) -> int:
    return _checked(lambda: parse_bytes("budget", text))


def _threads(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"threads={text}: must be a whole number of at least 1")
    return int(text)


def _checked(parse):
    try:
        return parse()
    except InvalidArgument as error:
        # argparse shows the text of this type only.
        raise argparse.ArgumentTypeError(str(error)) from None


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
