"""Sizes that people use, for modules of any family and origin that are narrow enough for a CPU."""

from __future__ import annotations

import torch
from exact_cases import clip_size, program_for, run_program

from truetile.engine.exact_planning import plans_for
from truetile.families.recognise import program_of

# Frames, height and width of pixels.
LARGE_STILLS = ((1, 480, 832), (1, 717, 1279))
LARGE = ((5, 480, 832), (1, 717, 1279))
LONG = ((17, 37, 59), (33, 37, 59), (81, 37, 59))


def source_for(module, operation: str, size, edge: int, unit: int = 1) -> torch.Tensor:
    """[1, C, T, h, w]: so many pixels, or the latents that make them or a few more.

    `edge`: pixels of a latent's edge. `unit`: the encoder takes only multiples of it, to which
    rows and columns are padded.
    """
    frames, height, width = size
    channels = program_of(module, operation, still=frames == 1).shapes[0].in_channels
    generator = torch.Generator().manual_seed(frames)
    if operation == "decode":
        shape = (1, channels, (frames + 3) // 4, -(-height // edge), -(-width // edge))
        return torch.randn(shape, generator=generator)
    shape = (1, channels, frames, -(-height // unit) * unit, -(-width // unit) * unit)
    return torch.rand(shape, generator=generator) * 2 - 1


def by_middle_plan(module, operation: str, source: torch.Tensor) -> torch.Tensor:
    """What comes of the plan in the middle: strips and parts of clips, little made twice.

    Plans of every other kind are tested on smaller sources.
    """
    program = program_for(module, operation, source)
    plans = plans_for(program, clip_size(source), source.element_size(), source.device)
    return run_program(program, source, [plans[len(plans) // 2]])[0]
