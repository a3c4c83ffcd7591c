"""The port of a diffusers autoencoder (`AutoencoderKL`, `AutoencoderKLWan`, ...)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..families.recognise import program_of
from ..families.wan_carry import carry_for
from ..plan import AxisScale, CostModel
from .exact_weights import as_stored
from .memory import free_bytes, resident_bytes
from .ports import Affine, rough_cost

if TYPE_CHECKING:
    import torch

    from ..families.carry import CausalCarry
    from ..families.program import Program


def accepts(vae: Any) -> bool:
    """Whether `vae` is a diffusers model with encode and decode."""
    return type(vae).__module__.startswith("diffusers.") and hasattr(vae, "config")


class DiffusersPort:
    """`VaePort` of a diffusers autoencoder; latents are those of the module, unscaled.

    The module's own tiling must be off: what it would do to a tile is not what was planned.
    """

    def __init__(self, vae: Any) -> None:
        self._vae = vae
        config = vae.config
        self.latent_channels = config.get("z_dim") or config["latent_channels"]
        self.pixel_channels = config.get("in_channels", 3)
        # Wan 2.2 counts the pixels of a patch into its channels; Flux.2's pair is one of latents,
        # which its pipeline packs.
        patch = config.get("patch_size")
        self.pixel_channels //= patch**2 if isinstance(patch, int) else 1
        self.spatial = _spatial_factor(vae)
        self.time = _time_scale(vae)
        self.finish = Affine()

    @property
    def device(self) -> torch.device:
        return next(self._vae.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self._vae.parameters()).dtype

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        with _no_own_tiling(self._vae):
            return self._vae.decode(latent, return_dict=False)[0]

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        with _no_own_tiling(self._vae):
            return self._vae.encode(pixels, return_dict=False)[0].mode()

    def pixels_in(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels * 2 - 1

    def cost(self, operation: str) -> CostModel:
        return rough_cost(self, operation)

    def prepare(self, needed_bytes: int) -> None:
        """The module lies where its owner put it."""

    def free_bytes(self) -> int:
        return free_bytes(self.device)

    @contextmanager
    def fp32(self) -> Iterator[None]:
        """Float32 weights for one tile; afterwards the very same tensors are back in place."""
        held = [(p, p.data) for p in self._vae.parameters()]
        held += [(b, b.data) for b in self._vae.buffers()]
        try:
            for tensor, data in held:
                if data.is_floating_point():
                    tensor.data = data.float()
            yield
        finally:
            for tensor, data in held:
                tensor.data = data

    def carry(self, operation: str) -> CausalCarry | None:
        return carry_for(self._vae, operation)

    def program(self, operation: str, *, still: bool) -> Program:
        return program_of(self._vae, operation, still=still)

    def weight(self, module: torch.nn.Module, name: str, dtype: torch.dtype) -> torch.Tensor | None:
        return as_stored(module, name, dtype)

    def patches(self) -> None:
        """Whoever patches a diffusers module patches its weights in place."""

    def unload(self) -> int:
        """The module lies where its owner put it."""
        return resident_bytes(self._vae, self.device)

    def make_room(self, needed_bytes: int) -> None:
        """There is no host to ask."""


def _spatial_factor(vae: Any) -> int:
    # The config comes first: the attribute of a Wan 2.2 module leaves out its 2x2 patches.
    for source in (vae.config.get("scale_factor_spatial"), _attribute(vae, "spatial")):
        if source:
            return int(source)
    blocks = vae.config.get("block_out_channels")
    if blocks:
        return 2 ** (len(blocks) - 1)
    levels = vae.config.get("temperal_downsample") or vae.config.get("temporal_downsample")
    return 2 ** len(levels) if levels else 8


def _time_scale(vae: Any) -> AxisScale | None:
    ratio = vae.config.get("scale_factor_temporal") or _attribute(vae, "temporal")
    if ratio is None:
        levels = vae.config.get("temperal_downsample") or vae.config.get("temporal_downsample")
        ratio = 2 ** sum(map(bool, levels)) if levels else None
    # Every causal video VAE of diffusers maps 1 + k*n frames to 1 + n latents.
    return None if ratio is None else AxisScale(int(ratio), 1)


def _attribute(vae: Any, axis: str) -> int | None:
    name = f"{axis}_compression_ratio"
    return getattr(vae, name, None) or vae.config.get(name)


# Of these some cut long clips into blended pieces unless they are told otherwise.
_OWN_TILING = ("use_tiling", "use_framewise_decoding", "use_framewise_encoding")


@contextmanager
def _no_own_tiling(vae: Any) -> Iterator[None]:
    before = [name for name in _OWN_TILING if getattr(vae, name, False)]
    for name in before:
        setattr(vae, name, False)
    try:
        yield
    finally:
        for name in before:
            setattr(vae, name, True)
