"""Small AutoencoderKL modules of diffusers, and plans of every kind for them."""

from __future__ import annotations

import torch
from exact_cases import clip_size

from truetile.families.program import Program
from truetile.native.stream.values import clean_cuts
from truetile.stream import LayerKind, StreamPlan, candidates, make_passes, pass_targets

# Of SD 1.5 and SDXL.
FULL = {
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "norm_num_groups": 32,
}


def kl_module(**changes):
    """An AutoencoderKL whose norms have weights of their own and whose values are of order one."""
    import diffusers

    levels = len(changes.get("block_out_channels", (8, 16)))
    config = {
        "block_out_channels": (8, 16),
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "latent_channels": 4,
    } | changes
    torch.manual_seed(0)
    kind = getattr(diffusers, changes.pop("kind", "AutoencoderKL"))
    config.pop("kind", None)
    module = kind(**config).eval().requires_grad_(False)
    for part in module.modules():
        if isinstance(part, torch.nn.GroupNorm):
            part.weight.normal_(1.0, 0.2)
            part.bias.normal_(0.0, 0.2)
    return module


def picture(channels: int, rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    """[1, C, 1, h, w] as the exact engine takes it; the module takes [:, :, 0]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, channels, 1, rows, columns, generator=generator)


def pass_plans(program: Program, source: torch.Tensor) -> list[StreamPlan]:
    """The planner's fastest and smallest plan, and others that store a part of the values."""
    shapes, clip = program.shapes, clip_size(source)
    found = candidates(shapes, clip, source.element_size())
    plans = [found[0], found[-1]]
    targets = pass_targets(shapes)[:-1]
    attention = {
        value
        for index, shape in enumerate(shapes)
        if shape.kind == LayerKind.ATTENTION
        for value in (shape.source, index + 1)
    }
    clean = clean_cuts(shapes)
    for stored, rows in (
        (targets, 1),
        (targets, 4),
        ([value for value in targets if clean[value]], 1),
        ([value for value in targets if clean[value]], 3),
        (attention or {1}, 2),
        (attention or {targets[0]}, 8),
        ([*targets[:5], *attention], 5),
    ):
        wanted = sorted({*stored, *attention})
        plans.append(StreamPlan(tuple(make_passes(shapes, clip, wanted, rows)), 0, 0.0))
    assert any(not one.keep for plan in plans for one in plan.segments)
    assert any(one.over >= 0 for plan in plans for one in plan.segments)
    return plans
