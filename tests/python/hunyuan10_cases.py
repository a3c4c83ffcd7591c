"""Small HunyuanVideo 1.0 modules of diffusers, and plans of every kind for their programs."""

from __future__ import annotations

import functools
from dataclasses import replace

import torch
import torch.nn.functional as F
from exact_cases import clip_size

from truetile.engine.exact_planning import plans_for
from truetile.families.program import Program, Roll
from truetile.stream import LayerKind, Segment, StreamPlan, make_passes, pass_targets


def hunyuan10(seed: int = 0, **changes):
    """An AutoencoderKLHunyuanVideo that takes whole clips; its norms have weights of their own."""
    import diffusers

    config = {
        "latent_channels": 4,
        "block_out_channels": (8, 8, 16, 16),
        "layers_per_block": 1,
        "norm_num_groups": 4,
    } | changes
    torch.manual_seed(seed)
    module = diffusers.AutoencoderKLHunyuanVideo(**config).eval().requires_grad_(False)
    module.use_framewise_decoding = module.use_framewise_encoding = False
    for part in module.modules():
        if isinstance(part, torch.nn.GroupNorm):
            part.weight.normal_(1.0, 0.2)
            part.bias.normal_(0.0, 0.2)
    return module


def rolled(program: Program) -> Program:
    """The same layers in the spans in which ComfyUI takes them."""
    kinds = [shape.kind for shape in program.shapes]
    attention = kinds.index(LayerKind.CLIP_ATTENTION)
    if program.operation == "decode":
        return replace(program, roll=Roll(attention + 3, len(kinds), 2, 2))
    return replace(program, roll=Roll(0, attention - 2, 1, 2 * program.frame_unit))


def by_spans(module, operation: str, source: torch.Tensor) -> torch.Tensor:
    """What the module makes when those of its layers take the clip in spans, as ComfyUI's do."""
    if operation == "decode":
        half = module.decoder
        x = half.mid_block(half.conv_in(module.post_quant_conv(source)))
        return _walk(x.split(2, dim=2), half.up_blocks, _head(half))
    half, lead = module.encoder, source[:, :, :1]
    spans = [lead, *(part for part in source[:, :, 1:].split(8, dim=2) if part.shape[2])]
    x = _walk(spans, half.conv_in, half.down_blocks)
    made = module.quant_conv(_head(half)(half.mid_block(x)))
    return made[:, : made.shape[1] // 2]


def _head(half) -> torch.nn.Sequential:
    return torch.nn.Sequential(half.conv_norm_out, half.conv_act, half.conv_out)


def _walk(spans, *parts: torch.nn.Module) -> torch.Tensor:
    """`parts` one after the other on each span; convolutions carry two frames of their input."""
    inner = [layer for part in parts for layer in part.modules()]
    lists = [part if isinstance(part, torch.nn.ModuleList) else [part] for part in parts]
    chain = [layer for part in lists for layer in part]
    carried: dict = {}

    def convolve(layer, x):
        width, height, frames = (layer.time_causal_padding[i] for i in (0, 2, 4))
        before = carried.get(layer, x[:, :, :1].expand(-1, -1, frames, -1, -1))
        x = torch.cat([before, x], 2) if frames else x
        carried[layer] = x[:, :, x.shape[2] - frames :]
        return layer.conv(F.pad(x, (width, width, height, height, 0, 0), mode="replicate"))

    def upsample(layer, x):
        alone = x[:, :, : 0 if layer.conv in carried else 1]
        factor = layer.upsample_factor
        parts = [F.interpolate(alone, scale_factor=(1, *factor[1:]))] if alone.shape[2] else []
        rest = x[:, :, alone.shape[2] :]
        parts += [F.interpolate(rest, scale_factor=factor)] if rest.shape[2] else []
        return layer.conv(torch.cat(parts, 2))

    forwards = {"HunyuanVideoCausalConv3d": convolve, "HunyuanVideoUpsampleCausal3D": upsample}
    changed = [layer for layer in inner if type(layer).__name__ in forwards]
    made = []
    try:
        for layer in changed:
            layer.forward = functools.partial(forwards[type(layer).__name__], layer)
        for span in spans:
            x = span
            for layer in chain:
                x = layer(x)
            made.append(x)
    finally:
        for layer in changed:
            del layer.forward
    return torch.cat(made, 2)


def plans_of(program: Program, source: torch.Tensor) -> list[StreamPlan]:
    """The planner's fastest and smallest plan, and, without spans, others with chunks of frames."""
    shapes, clip = program.shapes, clip_size(source)
    found = plans_for(program, clip, source.element_size(), source.device)
    plans = [found[0], found[len(found) // 2], found[-1]]
    if program.roll is not None:
        return plans
    targets = pass_targets(shapes)[:-1]
    sides = {
        value
        for index, shape in enumerate(shapes)
        if shape.attends
        for value in (shape.source, index + 1)
    }
    for stored, rows, chunk in ((targets, 1, 1), (targets[::2], 5, 2), (targets[:3], 3, 1)):
        passes = [
            Segment(one.first, one.last, one.rows, chunk if one.rows else 0, one.keep, one.over)
            for one in make_passes(shapes, clip, sorted({*stored, *sides}), rows)
        ]
        plans.append(StreamPlan(tuple(passes), 0, 0.0))
    return plans
