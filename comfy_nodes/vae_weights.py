"""The weights of a VAE as it computes with them, read without loading it.

ComfyUI patches weights when it loads a model (a LoRA, or what else `add_patches` was given), or
while the model computes where it is loaded in part or dynamically. The exact engine makes its own
copy of the weights and leaves the VAE unloaded, so the patches are applied to that copy.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable
from typing import Any

import torch

from ..truetile.engine.exact_weights import as_stored
from ..truetile.families.program import Declined

# Object patches that only say in which dtype layers compute; the engine has its own way.
_HARMLESS = frozenset({"manual_cast_dtype"})


class VaeWeights:
    """Of a VAE's `model`, which `patcher` loads; a node may have swapped either of the two."""

    def __init__(self, patcher: Any, model: torch.nn.Module) -> None:
        self._patcher = patcher if getattr(patcher, "model", None) is model else None
        self._model = model

    def not_exact(self) -> str | None:
        """Why the weights and layers alone do not say what the VAE computes; None if they do."""
        objects = set(self._of_patcher("object_patches")) - _HARMLESS
        if objects:
            return f"patched objects: {', '.join(sorted(objects))}"
        for name in ("hook_patches", "injections"):
            if self._of_patcher(name):
                return f"its patcher has {name.replace('_', ' ')}"
        patched = self._of_patcher("patches").keys()
        if patched and (others := patched - dict(self._model.named_parameters())):
            return f"a patch changes {', '.join(sorted(others))}, which is no weight"
        for module, path in self._paths.items():
            changes = sorted({"forward", "decode", "encode"} & vars(module).keys())
            if module._forward_hooks or module._forward_pre_hooks:
                changes.append("hooks")
            if changes:
                return f"{path or 'it'} has {' and '.join(changes)} of its own"
        return None

    def patches(self) -> Hashable:
        """The same for the same patches; None where there are none."""
        patched = self._of_patcher("patches") or self._of_patcher("weight_wrapper_patches")
        return getattr(self._patcher, "patches_uuid", None) if patched else None

    def read(
        self, module: torch.nn.Module, name: str, device: torch.device, dtype: torch.dtype
    ) -> torch.Tensor | None:
        """The weight `name` of a part of the model, on any device and in any dtype.

        Raises Declined where a patch changes its shape.
        """
        key = self._key(module, name)
        # Of weights that are patched in place the patcher keeps the original.
        backup = self._of_patcher("backup").get(key)
        stored = as_stored(module, name, dtype) if backup is None else backup.weight
        if stored is None:
            return None
        if stored.is_meta:  # missing in the file: ComfyUI takes zeros when it first needs them
            stored = torch.zeros(stored.shape, dtype=dtype)
        weight = stored
        if patches := self._of_patcher("patches").get(key):
            weight = _patched(patches, stored, key, device).to(dtype)
        if wrappers := self._of_patcher("weight_wrapper_patches").get(key):
            weight = weight.to(device, dtype, copy=True)
            for wrapper in wrappers:
                weight = wrapper(weight)
        if weight.shape != stored.shape:
            raise Declined(f"a patch makes {tuple(weight.shape)} of {key} {tuple(stored.shape)}")
        return weight

    def _key(self, module: torch.nn.Module, name: str) -> str:
        # A family may add a layer of its own, which no patch can name.
        path = self._paths.get(module)
        return f"{path}.{name}" if path else name

    @functools.cached_property
    def _paths(self) -> dict[torch.nn.Module, str]:
        return {module: path for path, module in self._model.named_modules()}

    def _of_patcher(self, name: str) -> dict:
        return getattr(self._patcher, name, None) or {}


def _patched(patches: list, stored: torch.Tensor, key: str, device: torch.device) -> torch.Tensor:
    """What ComfyUI makes of a weight when it loads it, before it is rounded."""
    import comfy.lora
    from comfy import model_management

    compute_dtype = getattr(model_management, "lora_compute_dtype", lambda _: torch.float32)
    copy = model_management.cast_to_device(stored, device, compute_dtype(device), copy=True)
    return comfy.lora.calculate_weight(patches, copy, key)
