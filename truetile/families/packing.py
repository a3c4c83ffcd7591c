"""Where the pixels of a block lie among the channels of a packed value.

A packed value holds blocks of frames, rows and columns in its channels. Models differ in the order,
and in what becomes of a clip's first frame where frames are packed in pairs, too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Packing:
    """`order`: the axes that a packed channel stands for, from the outermost to the innermost.

    "c" is the channel of the unpacked value, "t", "h" and "w" the place in the block. Where there
    are fewer packed channels than that, neighbours share one: unpacking repeats it, packing
    averages them. `lone_pair`: the first frame is the later one of a pair whose earlier one is
    zero or dropped; otherwise it is packed in space only, and its channels are repeated or halved.
    """

    order: str
    lone_pair: bool

    def axes(self, sizes: dict[str, int], channels: int) -> tuple[list[Axis], list[Axis]]:
        """The axes told apart by `channels` packed channels, and those that share one of them.

        An axis may be split between the two. ValueError where it cannot be.
        """
        apart: list[Axis] = []
        shared: list[Axis] = []
        rest = channels
        for name in self.order:
            size = sizes.get(name, 1)
            part = min(rest, size)
            if rest % part or size % part:
                raise ValueError(f"{channels} channels of {sizes} in the order {self.order!r}")
            rest //= part
            apart.append(Axis(name, part))
            shared.append(Axis(name, size // part))
        if rest > 1:
            raise ValueError(f"{channels} channels hold more than {sizes}")
        apart = [one for one in apart if one.size > 1] or [Axis("c", 1)]
        return apart, [one for one in shared if one.size > 1]


@dataclass(frozen=True)
class Axis:
    """One axis of a block, or the outer or inner part of it."""

    name: str
    size: int


def block(channels: int, pixels: int, frames: int = 1) -> dict[str, int]:
    """Sizes of all axes of a block of `pixels` x `pixels` and `frames`."""
    return {"c": channels, "t": frames, "h": pixels, "w": pixels}


def packed(sizes: dict[str, int]) -> int:
    """Channels of a packed block where none is shared."""
    return math.prod(sizes.values())


# Wan 2.2 5B: its shortcuts, and the 2 x 2 patches of its pictures.
WAN_SHORTCUT = Packing("cthw", lone_pair=True)
WAN_PATCH = Packing("cwh", lone_pair=True)
# Flux.2: 2 x 2 latents.
LATENT_PATCH = Packing("chw", lone_pair=False)
# HunyuanVideo 1.5, in shortcuts and convolutions alike.
HUNYUAN = Packing("thwc", lone_pair=False)
