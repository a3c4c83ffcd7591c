"""The demo VAE as the engine sees it: with measured costs, and fast convolutions on the CPU."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from ..engine.diffusers_port import DiffusersPort
from ..plan import AxisScale, CostModel

if TYPE_CHECKING:
    from diffusers import AutoencoderKLWan

# Peak bytes per pixel of one frame, for a width (base_dim) of 16 in float32, to which they are
# proportional: measured on the CPU with PeakMeter on pictures of 256 x 256 to 1024 x 768 and clips
# of 216 x 224 and 216 x 384, 5 to 17 frames; rounded up. A step of a clip holds four frames.
_PICTURE = {"decode": 1360, "encode": 855}
_CLIP_AT_ONCE = {"decode": 950, "encode": 690}
# Chunks hold the causal cache twice: as it was, so that a chunk can be tried again, and as it is.
_CLIP_IN_CHUNKS = {"decode": 1280, "encode": 800}
_MEASURED_WIDTH = 16
_FIXED_BYTES = 10 << 20


class DemoPort(DiffusersPort):
    """A Wan 2.1 VAE in diffusers for one subject.

    Args:
        vae: the module; on the CPU its convolutions are changed, see `use_onednn`.
        shape: (T, H, W) of the subject.
    """

    def __init__(self, vae: AutoencoderKLWan, shape: Sequence[int]) -> None:
        super().__init__(vae)
        self.module = vae
        self._frames = 1 if shape[0] == 1 else 4
        self._host_bytes = 0
        if self.device.type == "cpu":
            use_onednn(vae)
            # The converted input, or the result, lies in the same memory.
            self._host_bytes = shape[0] * shape[1] * shape[2] * self.pixel_channels * 4

    @property
    def scales(self) -> tuple[AxisScale, AxisScale, AxisScale]:
        """How latents map to frames, rows and columns."""
        space = AxisScale(self.spatial, self.spatial)
        return self.time, space, space

    def cost(self, operation: str) -> CostModel:
        return self._cost(operation, _PICTURE if self._frames == 1 else _CLIP_IN_CHUNKS)

    def independent_cost(self, operation: str) -> CostModel:
        """Bytes of a call that begins with an empty causal cache, as classic tiles do."""
        return self._cost(operation, _PICTURE if self._frames == 1 else _CLIP_AT_ONCE)

    def _cost(self, operation: str, per_pixel: dict[str, int]) -> CostModel:
        width = self.module.config.base_dim / _MEASURED_WIDTH * self.dtype.itemsize / 4
        return CostModel(
            fixed_bytes=_FIXED_BYTES + self._host_bytes,
            bytes_per_pixel=per_pixel[operation] * width,
            live_frames=self._frames,
            out_channels=self.pixel_channels if operation == "decode" else self.latent_channels,
            out_elem_bytes=self.dtype.itemsize,
        )


def use_onednn(module: torch.nn.Module) -> None:
    """Makes every Conv3d of `module` use oneDNN on the CPU.

    torch picks its kernel by channels x frames x height: below 20480 it takes one that unfolds the
    input (a multiple of the memory, half the speed). Small tiles would pay for that rule, untiled
    pictures not, and the comparison would be one of kernels. GPUs have no such rule.
    """
    for layer in module.modules():
        if isinstance(layer, torch.nn.Conv3d) and type(layer)._conv_forward is not _onednn_forward:
            # By its class: the exact engine declines layers that were patched one by one.
            layer.__class__ = _onednn_class(type(layer))


@functools.cache
def _onednn_class(kind: type[torch.nn.Conv3d]) -> type[torch.nn.Conv3d]:
    return type(kind.__name__, (kind,), {"_conv_forward": _onednn_forward})


def _onednn_forward(
    self: torch.nn.Conv3d, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    return torch.ops.aten.mkldnn_convolution(
        x, weight, bias, self.padding, self.stride, self.dilation, self.groups
    )


def count_calls(module: torch.nn.Module, tick: Callable[[], None]) -> None:
    """Calls `tick` after each convolution: the progress of a call that is one piece."""
    for layer in module.modules():
        if isinstance(layer, (torch.nn.Conv2d, torch.nn.Conv3d)):
            layer.register_forward_hook(lambda *_: tick())
