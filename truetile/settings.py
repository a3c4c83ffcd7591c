"""What the caller of `truetile.decode` and `truetile.encode` asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import InvalidArgument

if TYPE_CHECKING:
    import torch

    from .observer import Observer

MODES = ("auto", "exact", "blended", "untiled")


@dataclass(frozen=True)
class Settings:
    """How to tile, in the units of ComfyUI's tiled VAE nodes.

    tile_size, overlap: pixels. temporal_size, temporal_overlap: frames. mode: "untiled" makes one
    call and never falls back; "exact" allows only plans equal to it; "blended" starts with tiles;
    "auto" is exact where the VAE's layers are known, else it takes the first that fits `budget`
    bytes (None: what is free) and goes down on demand.
    """

    mode: str = "auto"
    budget: int | None = None
    tile_size: int = 512
    overlap: int = 64
    temporal_size: int = 64
    temporal_overlap: int = 8

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise InvalidArgument(f"mode={self.mode!r}: must be one of {', '.join(MODES)}")
        if self.budget is not None and self.budget <= 0:
            raise InvalidArgument(f"budget={self.budget}: must be None or at least 1 byte")
        for size, overlap in (("tile_size", "overlap"), ("temporal_size", "temporal_overlap")):
            length, shared = getattr(self, size), getattr(self, overlap)
            if length < 1:
                raise InvalidArgument(f"{size}={length}: must be at least 1")
            if not 0 <= shared < length:
                raise InvalidArgument(
                    f"{overlap}={shared}: must be in [0, {length - 1}] ({size}={length})"
                )


@dataclass(frozen=True)
class Hooks:
    """What the caller wants to hear and to get."""

    progress: Callable[[int, int], None] | None
    check_interrupt: Callable[[], None] | None
    out_dtype: torch.dtype | None
    pin: bool
    observer: Observer | None
