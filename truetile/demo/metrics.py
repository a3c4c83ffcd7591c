"""How far a tiled result is from the untiled one, and how much of that lies at tile borders."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

# A border is felt about half an overlap of ComfyUI's tiled nodes (64 px) to each side.
REACH_PIXELS = 32
REACH_FRAMES = 1


@dataclass(frozen=True)
class Borders:
    """Where independently computed tiles meet: positions on each axis, in frames and pixels.

    Two neighbours meet in the middle of what they share. Chunks in time that carry the causal
    cache are no borders: nothing is computed anew there.
    """

    t: tuple[float, ...] = ()
    y: tuple[float, ...] = ()
    x: tuple[float, ...] = ()

    @staticmethod
    def middles(spans: list[tuple[int, int]]) -> tuple[float, ...]:
        """Borders of tiles [begin, end) on one axis: the middle of each neighbours' overlap."""
        return tuple((b[0] + a[1]) / 2 for a, b in pairwise(spans))

    def merged(self, other: Borders) -> Borders:
        """Both: encode and decode may be tiled differently."""
        axes = ((self.t, other.t), (self.y, other.y), (self.x, other.x))
        return Borders(*(tuple(sorted(set(a) | set(b))) for a, b in axes))


@dataclass(frozen=True)
class Seam:
    """Mean absolute error (of 255) near tile borders and elsewhere, and their ratio."""

    near: float
    elsewhere: float

    @property
    def ratio(self) -> float:
        """1 means that borders are no worse than the rest; NaN where there is no error at all."""
        if self.elsewhere == 0:
            return math.nan if self.near == 0 else math.inf
        return self.near / self.elsewhere


def absolute_error(result: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Mean over the channels of |result - reference|: [T, H, W] of [T, H, W, 3]."""
    return np.abs(result.astype(np.float32) - reference.astype(np.float32)).mean(-1)


def psnr(result: np.ndarray, reference: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of values in [0, 1]; infinite where they are equal."""
    error = np.square(result.astype(np.float64) - reference.astype(np.float64)).mean()
    return math.inf if error == 0 else -10 * math.log10(error)


def near_borders(shape: tuple[int, int, int], borders: Borders) -> np.ndarray:
    """Mask [T, H, W] of what lies within REACH_FRAMES or REACH_PIXELS of a border."""
    masks = []
    for size, at, reach in zip(
        shape,
        (borders.t, borders.y, borders.x),
        (REACH_FRAMES, REACH_PIXELS, REACH_PIXELS),
        strict=True,
    ):
        centres = np.arange(size) + 0.5
        near = np.zeros(size, bool)
        for border in at:
            near |= np.abs(centres - border) <= reach
        masks.append(near)
    t, y, x = masks
    return t[:, None, None] | y[None, :, None] | x[None, None, :]


def seam(error: np.ndarray, borders: Borders) -> Seam | None:
    """The seam metric: mean error near tile borders over the mean error elsewhere.

    Args:
        error: [T, H, W] absolute error against the untiled result, in [0, 1].
        borders: the tile borders of the method that made it.

    Returns:
        Near: within 32 px (1 frame) of a border, across it. None where there are no borders, or
        where they are everywhere.
    """
    near = near_borders(error.shape, borders)
    if near.all() or not near.any():
        return None
    return Seam(float(error[near].mean() * 255), float(error[~near].mean() * 255))
