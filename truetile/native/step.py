"""What the ladder hands out: the pure-Python twin of Step in csrc/core/ladder.hpp."""

from __future__ import annotations

from dataclasses import dataclass

from .frame import Axes, Level
from .grid import Span
from .rungs import Box


@dataclass(frozen=True, slots=True)
class Step:
    """One VAE call; triples are (t, y, x).

    id: counts up. depth: 0 for the root frame. rung: index into `Ladder.rungs`. latent: global
    latents of the call. pixel: global pixels and frames of the call (decode makes them, encode
    reads them). levels: outermost first, the last one is this step's own. bytes: estimate of this
    call without line buffers. first_in_time: the call holds the clip's first latent. starts_tile,
    last_in_tile: first and last chunk of a spatial tile at its depth.

    Carried caches: cache_depth -1 starts an empty one (or the plan carries none), `depth` goes on
    with this depth's own, and an outer depth takes a copy of that depth's cache, cropped to
    cache_crop (y, x: latents within that depth's tile); then inherits_cache is true. A depth's
    cache must live until its frame goes on to another spatial tile.
    """

    id: int
    depth: int
    rung: int
    latent: Box
    pixel: Box
    levels: tuple[Level, ...]
    bytes: int
    first_in_time: bool
    starts_tile: bool
    last_in_tile: bool
    inherits_cache: bool
    cache_depth: int
    cache_crop: tuple[Span, Span]

    @property
    def axes(self) -> Axes:
        """This step's own tile in coordinates of its own level's box."""
        return self.levels[-1].axes


@dataclass(frozen=True, slots=True)
class RungCount:
    """Steps of one rung: issued, done, and ended by running out of memory."""

    issued: int = 0
    done: int = 0
    out_of_memory: int = 0
