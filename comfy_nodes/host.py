"""What ComfyUI offers, whichever version it is.

Written against v0.3.64 and later; what only newer versions have is looked up by name, with the
older way as the fallback. Nothing else in this package names comfy.model_management.
"""

from __future__ import annotations

import inspect
import uuid
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch

from ..truetile.engine import memory
from . import memory_knobs


def load_model(patcher: Any, needed_bytes: int, full_load: bool) -> None:
    """Makes the weights of `patcher` resident and `needed_bytes` free beside them, if it can."""
    from comfy import model_management

    options = {"memory_required": max(1, int(needed_bytes)), "force_full_load": full_load}
    known = inspect.signature(model_management.load_models_gpu).parameters
    options = {name: value for name, value in options.items() if name in known}
    model_management.load_models_gpu([patcher], **options)


def unload_model(model: torch.nn.Module, device: torch.device) -> None:
    """Takes `model` off `device` and its patches out of its weights, as ComfyUI unloads a model.

    Another node's call of ComfyUI loads it again.
    """
    from comfy import model_management

    ours, others = [], []
    for loaded in model_management.current_loaded_models:
        mine = getattr(loaded.model, "model", None) is model and loaded.device == device
        (ours if mine else others).append(loaded)
    if ours:
        memory_knobs.lift_page_limits()
        model_management.free_memory(memory_knobs.EVERYTHING, device, keep_loaded=others)


def resident_bytes(model: torch.nn.Module, device: torch.device) -> int:
    """Bytes of the weights of `model` on `device`, pages of dynamic VRAM included."""
    pages = (getattr(model, "dynamic_vbars", None) or {}).get(device)
    paged = int(pages.loaded_size()) if pages is not None else 0
    return memory.resident_bytes(model, device) + paged


def make_room(patcher: Any, device: torch.device, needed_bytes: int) -> None:
    """Has ComfyUI free `needed_bytes` on `device`, as it does before it loads `patcher`."""
    from comfy import model_management

    if device.type == "cpu":  # where it never frees anything
        return
    reserve = getattr(model_management, "extra_reserved_memory", lambda: 0)()
    options = {"for_dynamic": is_dynamic(patcher)}
    known = inspect.signature(model_management.free_memory).parameters
    options = {name: value for name, value in options.items() if name in known}
    model_management.free_memory(needed_bytes + reserve, device, **options)


def is_dynamic(patcher: Any) -> bool:
    """Whether its weights are loaded layer by layer while it computes (dynamic VRAM)."""
    return bool(getattr(patcher, "is_dynamic", lambda: False)())


def free_bytes(patcher: Any, device: torch.device) -> int:
    """Bytes that may be allocated on `device`: resident pages of other models count as free.

    Under dynamic VRAM only the patcher knows them; the plain reading would call them used.
    """
    from comfy import model_management

    if hasattr(patcher, "get_free_memory"):
        return int(patcher.get_free_memory(device))
    return int(model_management.get_free_memory(device))


def is_out_of_memory(error: BaseException) -> bool:
    """ComfyUI's verdict on `error`, which knows driver errors that torch does not name."""
    from comfy import model_management

    if hasattr(model_management, "is_oom"):
        return bool(model_management.is_oom(error))
    kind = getattr(model_management, "OOM_EXCEPTION", torch.cuda.OutOfMemoryError)
    return kind is not Exception and isinstance(error, kind)


def device_context(device: torch.device) -> AbstractContextManager[Any]:
    """Makes `device` the current one; with several GPUs the VAE's need not be the first."""
    from comfy import model_management

    context = getattr(model_management, "cuda_device_context", None)
    return context(device) if context is not None else nullcontext()


def check_interrupt() -> None:
    """Raises ComfyUI's own exception when the user pressed stop."""
    from comfy import model_management

    model_management.throw_exception_if_processing_interrupted()


def progress_bar() -> Any:
    """The progress bar of the node that runs now."""
    from comfy.utils import ProgressBar

    return ProgressBar(1)


def move_bar(bar: Any, done: int, total: int, preview: Any = None) -> None:
    """Moves a `progress_bar`; preview: a picture made by `preview_of`, shown on the node."""
    bar.update_absolute(done, total, preview)


def preview_size() -> int | None:
    """The largest edge of a preview; None when the user has previews off."""
    try:
        from comfy.cli_args import args
    except ImportError:
        return None
    method = getattr(args, "preview_method", None)
    if method is None or method.value == "none":
        return None
    return int(getattr(args, "preview_size", 512))


def preview_of(picture: torch.Tensor) -> tuple[str, Any, int]:
    """[h, w, 3] in uint8 as ComfyUI's progress bar takes a preview."""
    from PIL import Image

    return "JPEG", Image.fromarray(picture.numpy()), max(picture.shape[:2])


def save_preview(png: bytes) -> dict[str, str]:
    """Writes a picture to ComfyUI's temp folder, which it empties at its start; names the file."""
    import folder_paths

    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    # A new name each time: the editor keeps pictures by name.
    name = f"truetile_{uuid.uuid4().hex}.png"
    (folder / name).write_bytes(png)
    return {"filename": name, "subfolder": "", "type": "temp"}


def show_text(node_id: Any, text: str) -> None:
    """Shows `text` on the node in the editor; without an editor nothing happens."""
    if node_id is None:
        return
    try:
        from server import PromptServer

        server = PromptServer.instance
    except (ImportError, AttributeError):
        return
    if hasattr(server, "send_progress_text"):
        server.send_progress_text(text, node_id)
