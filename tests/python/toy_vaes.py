"""VAEs small enough to know the exact answer, and a memory that runs out on command."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from truetile.engine.callables_port import Callables, CallablesPort

LATENT_CHANNELS = 4


class PixelVae:
    """An image VAE without a receptive field: any tiling must give exactly the untiled result."""

    spatial = 8

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        rgb = torch.stack([latent[:, 0] + latent[:, 3], latent[:, 1], latent[:, 2] * 0.5], 1)
        return F.interpolate(rgb, scale_factor=self.spatial, mode="nearest")

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        mean = F.avg_pool2d(pixels.float(), self.spatial).to(pixels.dtype)
        return torch.cat([mean, mean.sum(1, keepdim=True)], 1)

    def port(self, **changes) -> CallablesPort:
        spec = {
            "decode": self.decode,
            "encode": self.encode,
            "latent_channels": LATENT_CHANNELS,
            "spatial": self.spatial,
            "bytes_per_pixel": 100.0,
        }
        return CallablesPort(Callables(**(spec | changes)))


class CausalVae:
    """A causal video VAE, four frames a latent: each latent needs the one before it, and no more.

    Pixels have no spatial receptive field. Frames of latent n are made from latents n and n - 1,
    so chunks are exact only with the cache carried, in any tiling.
    """

    spatial, factor = 8, 4

    def decode(self, latent: torch.Tensor, before: torch.Tensor | None = None) -> torch.Tensor:
        first = before is None
        before = torch.zeros_like(latent[:, :, :1]) if first else before
        past = torch.cat([before, latent[:, :, :-1]], 2)
        steps = []
        for k in range(self.factor):
            mix = latent * (k + 1) / self.factor + past * (self.factor - k - 1) / self.factor
            steps.append(mix[:, :3])
        frames = torch.stack(steps, 3).flatten(2, 3)
        frames = frames[:, :, self.factor - 1 :] if first else frames
        return frames.repeat_interleave(self.spatial, 3).repeat_interleave(self.spatial, 4)

    def encode(self, pixels: torch.Tensor, before: torch.Tensor | None = None) -> torch.Tensor:
        pooled = F.avg_pool3d(pixels, (1, self.spatial, self.spatial))
        if before is None:
            head, tail = pooled[:, :, :1], pooled[:, :, 1:]
            before = torch.zeros_like(head)
        else:
            head, tail = pooled[:, :, :0], pooled
        groups = [head] if head.shape[2] else []
        groups += [g.mean(2, keepdim=True) for g in tail.split(self.factor, 2) if g.shape[2]]
        latents = torch.cat(groups, 2)
        mixed = latents + 0.25 * torch.cat([before, latents[:, :, :-1]], 2)
        return torch.cat([mixed, mixed.sum(1, keepdim=True)], 1)

    def run(self, chunk, state, *, spatial):
        """`CausalCarry.run` for both directions: the state is the last latent-rate input."""
        before = state[0] if state else None
        if chunk.shape[1] == LATENT_CHANNELS:
            return self.decode(chunk, before), [chunk[:, :, -1:].clone()]
        out = self.encode(chunk, before)
        pooled = F.avg_pool3d(chunk[:, :, -self.factor :], (1, self.spatial, self.spatial))
        return out, [pooled.mean(2, keepdim=True)]

    def port(self, *, carried: bool = True, **changes) -> CallablesPort:
        spec = {
            "decode": self.decode,
            "encode": self.encode,
            "latent_channels": LATENT_CHANNELS,
            "spatial": self.spatial,
            "temporal": self.factor,
            "bytes_per_pixel": 100.0,
            "carried": self if carried else None,
        }
        return CallablesPort(Callables(**(spec | changes)))


class LimitedMemory:
    """Wraps a port so that a call on more than `limit` latents runs out of memory.

    `limits` gives the limit call by call (the last one stays): a card that another program fills
    while we work. Every call that succeeds is recorded.
    """

    program = None  # the exact engine makes no calls that could be limited

    def __init__(self, port: CallablesPort, limits: list[int]) -> None:
        self._port = port
        self._limits = limits
        self.asked = 0
        self.kept: list[int] = []  # latents of each call that succeeded

    def __getattr__(self, name: str):
        return getattr(self._port, name)

    def _check(self, tile: torch.Tensor) -> None:
        latents = self._latents(tile)
        limit = self._limits[min(self.asked, len(self._limits) - 1)]
        self.asked += 1
        if latents > limit:
            raise torch.OutOfMemoryError(f"fake: {latents} latents > {limit}")
        self.kept.append(latents)

    def _latents(self, tile: torch.Tensor) -> int:
        volume = tile[0, 0].numel()
        if tile.shape[1] == self._port.latent_channels:
            return volume
        frames = tile.shape[2] if tile.dim() == 5 else 1
        per_frame = volume // frames // self._port.spatial**2
        factor = self._port.time.factor if self._port.time else 1
        return per_frame * -(-frames // factor)

    def decode(self, latent):
        self._check(latent)
        return self._port.decode(latent)

    def encode(self, pixels):
        self._check(pixels)
        return self._port.encode(pixels)

    def carry(self, operation):
        self._operation = operation
        return self if self._port.carry(operation) else None

    def run(self, chunk, state, *, spatial):
        self._check(chunk)
        return self._port.carry(self._operation).run(chunk, state, spatial=spatial)
