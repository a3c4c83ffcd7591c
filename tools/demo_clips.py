"""Endless moving crops of still photographs: the training clips of the demo VAE.

All photographs lie in one atlas (a single large picture), so one ``grid_sample`` cuts a whole
batch on the GPU: every sample picks a photograph and walks a crop across it (pan, zoom, turn).
Half of the samples carry a second crop inside a moving ellipse, since real clips hold objects
that move against their background and uncover it.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

GAP = 8  # pixels between photographs in the atlas, beyond the reach of bilinear sampling
SMALLEST = 144  # a half-size copy smaller than this has too little left to crop


def load_photos(folder: Path) -> list[torch.Tensor]:
    """Return every picture of a folder, and its half-size copies, as (3, H, W) bytes.

    The copies let a crop show a photograph from far away: sampling never skips pixels, which
    would alias.
    """
    photos = []
    for path in sorted(folder.iterdir()):
        image = Image.open(path).convert("RGB")
        while min(image.size) >= SMALLEST:
            photos.append(torch.from_numpy(np.array(image)).permute(2, 0, 1))
            image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    if not photos:
        raise ValueError(f"folder: {folder} holds no picture of at least {SMALLEST} pixels")
    return photos


def build_atlas(
    photos: list[torch.Tensor],
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Shelve photographs, tallest first.

    Returns:
        The atlas (1, 3, H, W) in [-1, 1], the rectangles (N, 4) and how often to draw each one:
        by side length and by detail, or else two large and smooth pictures fill the batches.
    """
    width = max(2048, *(p.shape[2] for p in photos))
    order = sorted(photos, key=lambda p: -p.shape[1])
    x = y = shelf = 0
    boxes = []
    for photo in order:
        _, h, w = photo.shape
        if x + w > width:
            x, y, shelf = 0, y + shelf + GAP, 0
        boxes.append((x, y, w, h))
        x, shelf = x + w + GAP, max(shelf, h)
    atlas = torch.zeros(1, 3, y + shelf, width)
    for photo, (left, top, w, h) in zip(order, boxes, strict=True):
        atlas[0, :, top : top + h, left : left + w] = photo / 127.5 - 1
    detail = [p.float().diff(dim=2).abs().mean().item() + 2 for p in order]
    rectangles = torch.tensor(boxes, dtype=torch.float32)
    return atlas, rectangles, rectangles[:, 2:].prod(1).sqrt() * torch.tensor(detail)


class ClipSampler:
    """Draws batches of clips (B, 3, T, S, S) in [-1, 1] from a folder of photographs."""

    def __init__(self, folder: Path, device: torch.device, seed: int) -> None:
        atlas, boxes, weights = build_atlas(load_photos(folder))
        self.atlas, self.boxes, self.weights = (x.to(device) for x in (atlas, boxes, weights))
        self.generator = torch.Generator(device=device).manual_seed(seed)

    def _uniform(self, n: int, low: float, high: float) -> torch.Tensor:
        device = self.atlas.device
        return torch.rand(n, device=device, generator=self.generator) * (high - low) + low

    def _walk(self, batch: int, frames: int, size: int) -> torch.Tensor:
        """Cut ``batch`` moving crops out of the atlas: (B, 3, T, S, S)."""
        pick = torch.multinomial(self.weights, batch, replacement=True, generator=self.generator)
        left, top, width, height = self.boxes[pick].unbind(1)
        time = torch.linspace(0, 1, frames, device=self.atlas.device)[None]

        def line(start: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
            return start[:, None] + change[:, None] * time

        # Up to 1 a crop magnifies; a little above 1 is still sampled densely enough.
        step = line(self._uniform(batch, 0.5, 1.1), self._uniform(batch, -0.02, 0.02) * frames)
        turn = self._uniform(batch, -0.3, 0.3) + math.pi / 2 * self._uniform(batch, 0, 4).floor()
        angle = line(turn, self._uniform(batch, -0.006, 0.006) * frames)
        # Cubed, so that slow pans are common and fast ones (8 pixels a frame) still occur.
        speed = [8 * frames * self._uniform(batch, -1, 1) ** 3 for _ in range(2)]
        reach = step.amax(1) * size / 2
        centre = [
            line(edge + reach + self._uniform(batch, 0, 1) * (extent - 2 * reach).clamp(min=0), v)
            for edge, extent, v in ((left, width, speed[0]), (top, height, speed[1]))
        ]
        axis = torch.arange(size, device=self.atlas.device) - (size - 1) / 2
        rows, cols = torch.meshgrid(axis, axis, indexing="ij")
        mirror = torch.where(self._uniform(batch, 0, 1) < 0.5, -1.0, 1.0)[:, None]
        cos, sin = step * angle.cos(), step * angle.sin()

        def spread(factor: torch.Tensor) -> torch.Tensor:
            return factor[:, :, None, None]

        x = spread(centre[0]) + spread(cos * mirror) * cols - spread(sin) * rows
        y = spread(centre[1]) + spread(sin * mirror) * cols + spread(cos) * rows
        # Beyond the photograph's edge its border repeats, as grid_sample does for a lone image.
        x = x.clamp(spread(left[:, None]), spread((left + width - 1)[:, None]))
        y = y.clamp(spread(top[:, None]), spread((top + height - 1)[:, None]))
        grid = torch.stack(
            [2 * x / (self.atlas.shape[3] - 1) - 1, 2 * y / (self.atlas.shape[2] - 1) - 1], -1
        )
        flat = grid.reshape(1, batch * frames * size, size, 2)
        crop = F.grid_sample(self.atlas, flat, align_corners=True, padding_mode="border")
        return crop.reshape(3, batch, frames, size, size).transpose(0, 1)

    def _recolour(self, clip: torch.Tensor) -> torch.Tensor:
        """Vary contrast, brightness and the colour balance, and swap channels."""
        batch = clip.shape[0]
        gain = self._uniform(batch * 3, 0.85, 1.15).view(batch, 3, 1, 1, 1)
        gain = gain * self._uniform(batch, 0.6, 1.3).view(batch, 1, 1, 1, 1)
        shift = self._uniform(batch, -0.3, 0.3).view(batch, 1, 1, 1, 1)
        order = self._uniform(batch * 3, 0, 1).view(batch, 3).argsort(1)
        # Half keep their channels: skin and sky are likelier in the wild than blue faces.
        keep = torch.arange(3, device=clip.device).expand(batch, 3)
        order = torch.where(self._uniform(batch, 0, 1)[:, None] < 0.5, order, keep)
        clip = clip.gather(1, order.view(batch, 3, 1, 1, 1).expand_as(clip))
        return (clip * gain + shift).clamp(-1, 1)

    def _ellipse(self, batch: int, frames: int, size: int) -> torch.Tensor:
        """Return the mask (B, 1, T, S, S) of one drifting ellipse; half of the batch has none."""
        axis = torch.linspace(-1, 1, size, device=self.atlas.device)
        time = torch.linspace(0, 1, frames, device=self.atlas.device)

        def parameter(low: float, high: float) -> torch.Tensor:
            return self._uniform(batch, low, high).view(batch, 1, 1, 1, 1)

        drift = 0.06 * frames
        x = parameter(-0.7, 0.7) + parameter(-drift, drift) * time.view(1, 1, frames, 1, 1)
        y = parameter(-0.7, 0.7) + parameter(-drift, drift) * time.view(1, 1, frames, 1, 1)
        dx = (axis - x) / parameter(0.2, 0.7)
        dy = (axis[:, None] - y) / parameter(0.2, 0.7)
        mask = torch.sigmoid((1 - dx.square() - dy.square()) * parameter(4, 60))
        return mask * (parameter(0, 1) < 0.5)

    @torch.no_grad()
    def __call__(self, batch: int, frames: int, size: int) -> torch.Tensor:
        """Return a fresh batch of clips (B, 3, T, S, S) in [-1, 1]."""
        back = self._recolour(self._walk(batch, frames, size))
        front = self._recolour(self._walk(batch, frames, size))
        return back.lerp(front, self._ellipse(batch, frames, size))
