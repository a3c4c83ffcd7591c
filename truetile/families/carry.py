"""Causal caches carried from one chunk of a clip to the next.

A causal video VAE pads each convolution in time with the frames before. A chunk that starts in the
middle of a clip is exact only if it gets those frames: the state that the chunk before it left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch

# One entry per cached layer: the last frames of its input, None before the first chunk, or a
# marker string of the module itself.
State = list


class CausalCarry(Protocol):
    """Runs a clip chunk by chunk with the state in the caller's hands."""

    def run(
        self, chunk: torch.Tensor, state: State | None, *, spatial: tuple[int, int]
    ) -> tuple[torch.Tensor, State]:
        """One chunk [B, C, t, h, w] and the state after it; `state` None at the clip's start.

        The given state is left as it was, so that a chunk that ran out of memory can be tried
        again in smaller pieces. `spatial` is the latent size (h, w) of the tile.
        """


def crop(
    state: State, rows: tuple[int, int], columns: tuple[int, int], size: tuple[int, int]
) -> State:
    """The state of a smaller tile inside a tile of latent size `size` (h, w).

    Cached frames lie at each layer's own resolution, a fixed multiple or fraction of the latent's,
    so rows and columns scale with them. The crop is copied: a view would keep the whole alive.
    """
    import torch

    def one(entry):
        if not isinstance(entry, torch.Tensor):
            return entry
        y0, y1 = (edge * entry.shape[-2] // size[0] for edge in rows)
        x0, x1 = (edge * entry.shape[-1] // size[1] for edge in columns)
        return entry[..., y0:y1, x0:x1].clone()

    return [one(entry) for entry in state]
