"""What the engine asks of a VAE, and how any VAE object is made to answer.

A *port* adapts one kind of VAE (ComfyUI's, a diffusers module, a pair of callables). Adapters
outside this package join through `register`, so that nothing here needs to know ComfyUI.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import InvalidArgument
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
    finish: Affine | Callable[[Any], Any] = Affine()
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


_FACTORIES: list[tuple[Callable[[Any], bool], Callable[[Any], VaePort]]] = []


def register(accepts: Callable[[Any], bool], factory: Callable[[Any], VaePort]) -> None:
    """Adds a kind of VAE: `factory(vae)` makes its port when `accepts(vae)` is true."""
    _FACTORIES.append((accepts, factory))


def port_for(vae: Any) -> VaePort:
    """The port of `vae`: itself, or one made by the adapter that accepts it."""
    if isinstance(vae, Callables):
        return CallablesPort(vae)
    for accepts, factory in reversed(_FACTORIES):
        if accepts(vae):
            return factory(vae)
    from . import diffusers_port

    if diffusers_port.accepts(vae):
        return diffusers_port.DiffusersPort(vae)
    if all(hasattr(vae, name) for name in ("decode", "encode", "cost", "prepare", "carry")):
        return vae
    raise InvalidArgument(
        f"vae={type(vae).__name__}: must be a ComfyUI VAE, a diffusers autoencoder, "
        "truetile.Callables or an object with the methods of VaePort"
    )


def _given(function: Callable | None, name: str) -> Callable:
    if function is None:
        raise InvalidArgument(f"{name}=None: these Callables cannot {name}")
    return function
