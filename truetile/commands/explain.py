"""Shows the plans for a VAE and a size: memory, work and time of each, the one chosen, and why.

Nothing is decoded, no weights are needed. Times are predicted for an H200 in half precision; for
another card only their order counts.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InvalidArgument
from ..sizes import parse_bytes
from . import CommandFailed

if TYPE_CHECKING:
    import torch

    from ..engine.ports import VaePort

HELP = "the plans for a VAE and a size, with memory, work and time, and which is chosen"
_NEEDS = ("torch", "diffusers", "safetensors")
_DTYPES = ("bfloat16", "float16", "float32")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `truetile explain`."""
    add = parser.add_argument
    add("--family", metavar="NAME", help="a VAE of full width without weights, such as wan2.1")
    add("--vae", type=Path, metavar="FILE", help="a Wan 2.1 VAE as .safetensors")
    add("--size", default="832x480", metavar="WxH", help="pixels (832x480)")
    add("--frames", type=int, metavar="N", help="frames of a clip (81; a picture: 1)")
    add("--dtype", choices=_DTYPES, default=_DTYPES[0], help=f"of the VAE ({_DTYPES[0]})")
    add("--budget", metavar="SIZE", help="such as 2GiB; without it plenty is free")


def run(args: argparse.Namespace) -> int:
    """Prints both operations."""
    _check_packages()
    import torch

    from ..engine.diffusers_port import DiffusersPort
    from ..engine.explain import explain
    from ..settings import Settings

    # The base class's method: diffusers' own warns about float32 modules that these do not have.
    vae = torch.nn.Module.to(_vae(args), device="meta", dtype=getattr(torch, args.dtype)).eval()
    port = DiffusersPort(vae)
    width, height = _size(args.size, port.spatial)
    frames = _frames(args.frames, port)
    settings = Settings(budget=None if args.budget is None else parse_bytes("budget", args.budget))
    count = sum(parameter.numel() for parameter in vae.parameters())
    clip = f", {frames} frames" if port.time is not None else ""
    print(f"{type(vae).__name__}, {count / 1e6:.1f} M weights, {args.dtype}, {args.size}{clip}")
    for operation in ("decode", "encode"):
        source = _source(port, operation, (frames, height, width))
        print(f"\n{explain(port, operation, source, settings)}")
    return 0


def _vae(args: argparse.Namespace) -> torch.nn.Module:
    from ..demo.vae import load_demo_vae, new_demo_vae
    from ..families.presets import empty_vae

    if args.family is not None and args.vae is not None:
        raise InvalidArgument(f"family={args.family}: cannot be given together with --vae")
    if args.family is not None:
        return empty_vae(args.family)
    if args.vae is None:
        return new_demo_vae()
    if not args.vae.is_file():
        raise InvalidArgument(f"vae={args.vae}: no such file")
    try:
        return load_demo_vae(args.vae)
    except ValueError as error:
        raise InvalidArgument(f"vae={args.vae}: {error}") from None


def _size(text: str, unit: int) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    sizes = tuple(map(int, match.groups())) if match else ()
    if not sizes or any(size < unit or size % unit for size in sizes):
        raise InvalidArgument(
            f"size={text}: must be WIDTHxHEIGHT in multiples of {unit}, such as 832x480"
        )
    return sizes


def _frames(count: int | None, port: VaePort) -> int:
    if port.time is None:
        if count not in (None, 1):
            raise InvalidArgument(f"frames={count}: must be 1, this VAE is for pictures")
        return 1
    count = 81 if count is None else count
    step, first = port.time.factor, port.time.first
    if count < first or (count - first) % step:
        raise InvalidArgument(f"frames={count}: must be {first} more than a multiple of {step}")
    return count


def _source(port: VaePort, operation: str, size: tuple[int, int, int]) -> torch.Tensor:
    """An empty tensor of the shape that the operation reads."""
    import torch

    frames, height, width = size
    channels = port.pixel_channels
    if operation == "decode":
        channels = port.latent_channels
        if port.time is not None:
            frames = 1 + (frames - port.time.first) // port.time.factor
        height, width = height // port.spatial, width // port.spatial
    axes = (height, width) if port.time is None else (frames, height, width)
    return torch.empty((1, channels, *axes), device="meta", dtype=port.dtype)


def _check_packages() -> None:
    from importlib.util import find_spec

    missing = [name for name in _NEEDS if find_spec(name) is None]
    if missing:
        raise CommandFailed(f"needs {', '.join(missing)}: pip install 'truetile[demo]'")
