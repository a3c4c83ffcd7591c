"""Names for what holds tensors in a ComfyUI process."""

from __future__ import annotations

import types
from typing import Any

from ..truetile.memory import tensors


def register() -> None:
    """Lets reports name node output caches and custom nodes."""
    tensors.register_label(label)


def label(thing: Any) -> str | None:
    """What ComfyUI knows about `thing`, or None."""
    kind = thing if isinstance(thing, type) else type(thing)
    if kind.__name__ == "CacheEntry" and kind.__module__ == "execution":
        return "the cached output of a node"
    if kind.__module__ == "comfy_execution.caching":
        return "the cache of node outputs"
    if isinstance(thing, types.FrameType):
        return None
    if kind.__name__ in ("ModelPatcher", "ModelPatcherDynamic"):
        model = getattr(thing, "model", None)
        return f"the patcher of {type(model).__name__}, which ComfyUI has not loaded"
    # ComfyUI imports a pack under the path of its folder.
    module = kind.__module__
    if "custom_nodes" in module:
        return f"custom node {_pack(module)}: {kind.__qualname__}"
    return None


def _pack(module: str) -> str:
    return module.split("custom_nodes", 1)[1].lstrip("._/\\").split(".")[0] or module
