"""Which port answers for a VAE object.

Adapters outside this package join through `register`, so that nothing here needs to know ComfyUI.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import InvalidArgument
from . import diffusers_port
from .callables_port import Callables, CallablesPort
from .ports import VaePort

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
    if diffusers_port.accepts(vae):
        return diffusers_port.DiffusersPort(vae)
    if all(hasattr(vae, name) for name in ("decode", "encode", "cost", "prepare", "carry")):
        return vae
    raise InvalidArgument(
        f"vae={type(vae).__name__}: must be a ComfyUI VAE, a diffusers autoencoder, "
        "truetile.Callables or an object with the methods of VaePort"
    )
