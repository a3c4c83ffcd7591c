"""A comfy.sd.VAE in the shape in which TrueTile's engine asks for a VAE."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from ..truetile.engine import adapters, memory, ports
from ..truetile.families import recognise, wan_carry
from ..truetile.families.program import Declined
from . import host, vae_cost, vae_facts
from .fp32_weights import float32_weights
from .vae_weights import VaeWeights

memory.register_out_of_memory(host.is_out_of_memory)


class ComfyVaePort:
    """`truetile.engine.ports.VaePort` of a comfy.sd.VAE, for one operation.

    Everything is read from the VAE when the port is made, and a port lives for one call: nodes
    swap `patcher`, `first_stage_model`, `device` and `vae_dtype` between calls.

    Raises NotTileable for a VAE that must be left to ComfyUI's own code.
    """

    def __init__(self, vae: Any, operation: str, vae_options: dict | None = None) -> None:
        vae_facts.require_tileable(vae)
        self._vae = vae
        self._model = vae.first_stage_model
        self._weights = VaeWeights(vae.patcher, vae.first_stage_model)
        self._options = dict(vae_options or {})
        self.latent_channels = vae.latent_channels
        self.pixel_channels = vae_facts.pixel_channels(vae, operation)
        self.spatial = vae_facts.spatial_factor(vae, operation)
        self.time = vae_facts.time_scale(vae)
        self.device = vae.device
        self.dtype = vae.vae_dtype
        self.finish = vae_facts.finish_of(vae)

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        latent = latent.to(self.device, self.dtype)
        return self._model.decode(latent, **self._options)

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        pixels = pixels.to(self.device, self.dtype)
        # Encoders that read their input in pieces want to know where to compute.
        chunked = getattr(self._model, "comfy_has_chunked_io", False)
        options = {"device": self.device} if chunked else {}
        return self._model.encode(pixels, **options)

    def pixels_in(self, pixels: torch.Tensor) -> torch.Tensor:
        return self._vae.process_input(pixels)

    def cost(self, operation: str) -> ports.CostModel:
        channels = self.pixel_channels if operation == "decode" else self.latent_channels
        fitted = vae_cost.cost_of(
            self._vae, operation, spatial=self.spatial, time=self.time, channels=channels
        )
        return fitted if fitted is not None else ports.rough_cost(self, operation)

    def prepare(self, needed_bytes: int) -> None:
        full_load = bool(getattr(self._vae, "disable_offload", False))
        host.load_model(self._vae.patcher, needed_bytes, full_load)

    def free_bytes(self) -> int:
        return host.free_bytes(self._vae.patcher, self.device)

    @contextmanager
    def fp32(self) -> Iterator[None]:
        usual = self.dtype
        self.dtype = torch.float32
        try:
            if host.is_dynamic(self._vae.patcher):  # every layer converts to its input's dtype
                yield
            else:
                with float32_weights(self._model):
                    yield
        finally:
            self.dtype = usual

    def carry(self, operation: str) -> Any:
        return wan_carry.carry_for(self._model, operation)

    def program(self, operation: str, *, still: bool) -> Any:
        if self._options:
            raise Declined(f"the VAE is called with options of its own: {sorted(self._options)}")
        program = recognise.program_of(self._model, operation, still=still)
        if reason := self._weights.not_exact():
            raise Declined(reason)
        return program

    def weight(self, module: torch.nn.Module, name: str, dtype: torch.dtype) -> torch.Tensor | None:
        return self._weights.read(module, name, self.device, dtype)

    def patches(self) -> Any:
        return self._weights.patches()

    def unload(self) -> int:
        host.unload_model(self._model, self.device)
        return host.resident_bytes(self._model, self.device)

    def make_room(self, needed_bytes: int) -> None:
        host.make_room(self._vae.patcher, self.device, needed_bytes)


def register() -> None:
    """Lets truetile.decode and truetile.encode take a comfy.sd.VAE (or one that is like it)."""

    def accepts(vae: Any) -> bool:
        return all(hasattr(vae, name) for name in ("first_stage_model", "patcher", "vae_dtype"))

    adapters.register(accepts, lambda vae: ComfyVaePort(vae, "decode"))
