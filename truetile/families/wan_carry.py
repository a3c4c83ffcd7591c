"""The causal cache of Wan VAEs (2.1, Qwen-Image, 2.2), for ComfyUI's and for diffusers' modules.

Both keep a list with one entry per causal convolution and call encoder and decoder with it, one
latent (four frames) at a time; ComfyUI's Wan 2.1 takes two latents where it can. A list of our own
makes the module continue where the chunk before stopped.
"""

from __future__ import annotations

import torch

from .carry import State

FRAMES_PER_LATENT = 4


def carry_for(module: torch.nn.Module, operation: str) -> WanCarry | None:
    """The carry of a Wan module, or None where `module` is not one that is known."""
    home, name = type(module).__module__, type(module).__name__
    if home.endswith("ldm.wan.vae") and name == "WanVAE":
        kind = _Comfy21(module)
    elif home.endswith("ldm.wan.vae2_2") and name == "WanVAE":
        kind = _Comfy22(module)
    elif name in ("AutoencoderKLWan", "AutoencoderKLQwenImage"):
        kind = _Diffusers(module)
    else:
        return None
    return WanCarry(kind, operation)


class WanCarry:
    """`CausalCarry` of one operation of a Wan module."""

    def __init__(self, kind: _Comfy21, operation: str) -> None:
        self._kind = kind
        self._operation = operation

    def run(
        self, chunk: torch.Tensor, state: State | None, *, spatial: tuple[int, int]
    ) -> tuple[torch.Tensor, State]:
        first = state is None
        step = self._kind.decode_step if self._operation == "decode" else self._kind.encode_step
        if first:
            size = 1
            state = [None] * self._kind.cache_size(self._operation)
        else:
            size = self._kind.step_size(self._operation)
        state = list(state)
        parts = []
        at = 0
        while at < chunk.shape[2]:
            part = chunk[:, :, at : at + size]
            # A step that would leave no room for a full one is the last of this chunk.
            at += part.shape[2]
            state, out = step(part, state, first=first, last=at >= chunk.shape[2])
            if out is not None:
                parts.append(out)
            first, size = False, self._kind.step_size(self._operation)
        return self._kind.join(parts, self._operation), state


class _Comfy21:
    """`comfy.ldm.wan.vae.WanVAE`."""

    def __init__(self, module: torch.nn.Module) -> None:
        self._m = module

    def cache_size(self, operation: str) -> int:
        half = self._m.decoder if operation == "decode" else self._m.encoder
        # Two slots for a downsampler: its last frame, and an output that waits for its pair.
        return sum(
            type(m).__name__ == "CausalConv3d"
            or (type(m).__name__ == "Resample" and m.mode == "downsample3d")
            for m in half.modules()
        )

    def step_size(self, operation: str) -> int:
        return 2

    def decode_step(self, part, state, *, first, last):
        new = list(state)
        out = self._m.decoder(self._m.conv2(part), feat_cache=new, feat_idx=[0])
        return _two_frames(state, new), torch.cat(out, 2) if isinstance(out, list) else out

    def encode_step(self, part, state, *, first, last):
        new = list(state)
        # `final` makes an odd latent leave the downsampler now instead of waiting for the next.
        out = self._m.encoder(part, feat_cache=new, feat_idx=[0], final=last)
        return _two_frames(state, new), out

    def join(self, parts, operation):
        out = torch.cat(parts, 2) if len(parts) > 1 else parts[0]
        return out if operation == "decode" else self._m.conv1(out).chunk(2, dim=1)[0]


class _Comfy22(_Comfy21):
    """`comfy.ldm.wan.vae2_2.WanVAE`: 2x2 patches, one latent a step."""

    def cache_size(self, operation: str) -> int:
        half = self._m.decoder if operation == "decode" else self._m.encoder
        return sum(type(m).__name__ == "CausalConv3d" for m in half.modules())

    def step_size(self, operation: str) -> int:
        return 1 if operation == "decode" else FRAMES_PER_LATENT

    def decode_step(self, part, state, *, first, last):
        new = list(state)
        out = self._m.decoder(
            self._m.conv2(part),
            feat_cache=new,
            feat_idx=[0],
            **({"first_chunk": True} if first else {}),
        )
        return new, out

    def encode_step(self, part, state, *, first, last):
        new = list(state)
        return new, self._m.encoder(_patchify(part, 2), feat_cache=new, feat_idx=[0])

    def join(self, parts, operation):
        out = torch.cat(parts, 2) if len(parts) > 1 else parts[0]
        if operation == "decode":
            return _unpatchify(out, 2)
        return self._m.conv1(out).chunk(2, dim=1)[0]


class _Diffusers(_Comfy22):
    """diffusers' `AutoencoderKLWan` and `AutoencoderKLQwenImage`."""

    def cache_size(self, operation: str) -> int:
        half = self._m.decoder if operation == "decode" else self._m.encoder
        return sum(type(m).__name__.endswith("CausalConv3d") for m in half.modules())

    def decode_step(self, part, state, *, first, last):
        new = list(state)
        extra = {"first_chunk": True} if first and "Wan" in type(self._m).__name__ else {}
        x = self._m.post_quant_conv(part)
        return new, self._m.decoder(x, feat_cache=new, feat_idx=[0], **extra)

    def encode_step(self, part, state, *, first, last):
        new = list(state)
        x = _patchify(part, self._patch) if self._patch else part
        return new, self._m.encoder(x, feat_cache=new, feat_idx=[0])

    def join(self, parts, operation):
        out = torch.cat(parts, 2) if len(parts) > 1 else parts[0]
        if operation == "encode":
            return self._m.quant_conv(out).chunk(2, dim=1)[0]
        out = _unpatchify(out, self._patch) if self._patch else out
        return out.clamp(-1.0, 1.0)

    @property
    def _patch(self) -> int | None:
        return getattr(self._m.config, "patch_size", None)


def _two_frames(before: State, after: State) -> State:
    """Caches always hold the last two frames.

    ComfyUI's Wan 2.1 stores only what the step saw: one frame after a step of one latent at the
    lowest resolution. In the middle of a clip the frame before it belongs there too.
    """

    def one(old, new):
        short = isinstance(new, torch.Tensor) and new.shape[2] == 1
        if short and isinstance(old, torch.Tensor):
            return torch.cat([old[:, :, -1:].to(new), new], dim=2)
        return new

    return [one(old, new) for old, new in zip(before, after, strict=True)]


def _patchify(x: torch.Tensor, p: int) -> torch.Tensor:
    """[B, C, T, H, W] -> [B, C*p*p, T, H/p, W/p], channels ordered c, column, row as in Wan 2.2."""
    b, c, t, h, w = x.shape
    x = x.view(b, c, t, h // p, p, w // p, p).permute(0, 1, 6, 4, 2, 3, 5)
    return x.reshape(b, c * p * p, t, h // p, w // p)


def _unpatchify(x: torch.Tensor, p: int) -> torch.Tensor:
    """The inverse of `_patchify`."""
    b, c, t, h, w = x.shape
    x = x.view(b, c // (p * p), p, p, t, h, w).permute(0, 1, 4, 5, 3, 6, 2)
    return x.reshape(b, c // (p * p), t, h * p, w * p)
