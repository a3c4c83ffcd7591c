"""What the engine asks of a VAE.

A *port* answers for one kind of VAE (ComfyUI's, a diffusers module, a pair of callables).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ..plan import AxisScale, CostModel

if TYPE_CHECKING:
    import torch

    from ..families.carry import CausalCarry
    from ..families.program import Program

# AutoencoderKL's activations at the widest level, measured by ComfyUI: 2178 elements a pixel.
ELEMENTS_PER_PIXEL_IMAGE = 2178
# A causal video decoder keeps about four frames and their caches alive at full resolution.
ELEMENTS_PER_PIXEL_VIDEO = 7000


@dataclass(frozen=True)
class Affine:
    """How raw decoder output becomes pixels: clamp(raw * scale + shift, lo, hi)."""

    scale: float = 0.5
    shift: float = 0.5
    lo: float = 0.0
    hi: float = 1.0


class VaePort(Protocol):
    """The questions of the engine. Shapes are [B, C, H, W] for images, [B, C, T, H, W] for video.

    `spatial`: pixels per latent along height and width. `time`: how latents map to frames, or
    None for an image VAE. `finish`: pixel affine that the blend kernel applies, or a callable on
    the finished [B, (T,) H, W, C] tensor where the VAE's own post-processing is not affine.
    """

    latent_channels: int
    pixel_channels: int
    spatial: int
    time: AxisScale | None
    device: torch.device
    dtype: torch.dtype
    finish: Affine | Callable[[torch.Tensor], torch.Tensor]

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        """Raw pixels of one tile of latents, both on `device`, the latent in `dtype`."""

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Latents of one tile of raw pixels ([-1, 1] for most VAEs)."""

    def pixels_in(self, pixels: torch.Tensor) -> torch.Tensor:
        """Raw VAE input of user pixels in [0, 1], any channel-first shape."""

    def cost(self, operation: str) -> CostModel:
        """Byte model of one call; `operation` is "decode" or "encode"."""

    def prepare(self, needed_bytes: int) -> None:
        """Makes the weights resident and `needed_bytes` free, as far as the host can.

        What `decode` and `encode` need; the exact engine has its own copy of the weights.
        """

    def free_bytes(self) -> int:
        """Bytes that a call may allocate now."""

    def fp32(self) -> AbstractContextManager[None]:
        """Within it `decode` and `encode` compute in float32; afterwards all is as before."""

    def carry(self, operation: str) -> CausalCarry | None:
        """The causal cache of the family for chunks in time, or None where it has none."""

    def program(self, operation: str, *, still: bool) -> Program:
        """The layers of a known family, for the exact engine; raises Declined with the reason.

        `still`: for single images. A port without this method is served by the other engine, and
        needs none of the methods below.
        """

    def weight(self, module: torch.nn.Module, name: str, dtype: torch.dtype) -> torch.Tensor | None:
        """The weight `name` with which a module of the program computes in `dtype`.

        On any device, in any dtype; None where the module has none. Raises Declined.
        """

    def patches(self) -> Hashable:
        """Another one when the weights are patched in another way: the self-test runs again."""

    def unload(self) -> int:
        """Takes the module's own weights off `device`, as far as the host can.

        The bytes of them that stay there; those in main memory do not count.
        """

    def make_room(self, needed_bytes: int) -> None:
        """Makes `needed_bytes` free, as far as the host can; the weights stay where they are."""


def rough_cost(port: VaePort, operation: str, bytes_per_pixel: float | None = None) -> CostModel:
    """Byte model where the family is unknown: the widest level's activations, cautiously."""
    elem = port.dtype.itemsize
    video = port.time is not None
    if bytes_per_pixel is None:
        elements = ELEMENTS_PER_PIXEL_VIDEO if video else ELEMENTS_PER_PIXEL_IMAGE
        bytes_per_pixel = elements * elem
    return CostModel(
        fixed_bytes=0,
        bytes_per_pixel=bytes_per_pixel,
        # Video figures are for one step of a decoder that walks through time by itself.
        live_frames=1 if video else 0,
        out_channels=port.pixel_channels if operation == "decode" else port.latent_channels,
        out_elem_bytes=elem,
    )
