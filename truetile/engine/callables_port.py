"""The port of a VAE that is given as two functions."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import InvalidArgument
from ..plan import AxisScale, CostModel
from .ports import Affine, rough_cost

if TYPE_CHECKING:
    import torch

    from ..families.carry import CausalCarry


@dataclass
class Callables:
    """A VAE given as two functions on channel-first tensors.

    `decode` maps latents to raw pixels in [-1, 1], `encode` the other way; either may be None.
    `temporal` is the number of frames per latent (None for images); `causal` says that the first
    latent stands for one frame. `bytes_per_pixel` is the working memory of one call per output
    pixel; leave it None for a cautious guess.
    """

    decode: Callable[[Any], Any] | None = None
    encode: Callable[[Any], Any] | None = None
    latent_channels: int = 4
    pixel_channels: int = 3
    spatial: int = 8
    temporal: int | None = None
    causal: bool = True
    device: Any = "cpu"
    dtype: Any = None
    finish: Affine | Callable[[Any], Any] = field(default_factory=Affine)
    bytes_per_pixel: float | None = None
    carried: Any = None


class CallablesPort:
    """`VaePort` of `Callables`."""

    def __init__(self, spec: Callables) -> None:
        import torch

        for name, low in (("latent_channels", 1), ("pixel_channels", 1), ("spatial", 1)):
            if getattr(spec, name) < low:
                raise InvalidArgument(f"{name}={getattr(spec, name)}: must be at least {low}")
        if spec.temporal is not None and spec.temporal < 1:
            raise InvalidArgument(f"temporal={spec.temporal}: must be None or at least 1")
        self._spec = spec
        self.latent_channels = spec.latent_channels
        self.pixel_channels = spec.pixel_channels
        self.spatial = spec.spatial
        self.time = (
            None
            if spec.temporal is None
            else AxisScale(spec.temporal, 1 if spec.causal else spec.temporal)
        )
        self.device = torch.device(spec.device)
        self.dtype = spec.dtype or torch.float32
        self.finish = spec.finish

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        return _given(self._spec.decode, "decode")(latent)

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        return _given(self._spec.encode, "encode")(pixels)

    def pixels_in(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels * 2 - 1

    def cost(self, operation: str) -> CostModel:
        per_pixel = self._spec.bytes_per_pixel
        return rough_cost(self, operation, per_pixel)

    def prepare(self, needed_bytes: int) -> None:
        """Callables look after their own weights."""

    def free_bytes(self) -> int:
        from .memory import free_bytes

        return free_bytes(self.device)

    def fp32(self) -> AbstractContextManager[None]:
        return nullcontext()

    def carry(self, operation: str) -> CausalCarry | None:
        return self._spec.carried


def _given(function: Callable | None, name: str) -> Callable:
    if function is None:
        raise InvalidArgument(f"{name}=None: these Callables cannot {name}")
    return function
