"""What the checks share."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
import unittest
from pathlib import Path

import torch

REPOSITORY = Path(__file__).resolve().parents[3]


class Pack:
    """The pack, imported the way ComfyUI imports it: a folder under a name of its own."""

    def __init__(self):
        name = str(REPOSITORY).replace(".", "_x_")
        spec = importlib.util.spec_from_file_location(name, REPOSITORY / "__init__.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        for part in ("service", "vae_port", "vae_weights", "wrapped_vae", "memory_models"):
            setattr(self, part, importlib.import_module(f"{name}.comfy_nodes.{part}"))
        self.memory = importlib.import_module(f"{name}.truetile.memory")


def need(owner, name):
    """Skip a check of what only later ComfyUIs have."""
    if not hasattr(owner, name):
        raise unittest.SkipTest(f"not in this ComfyUI: {name}")


def latent(frames, height, width, batch=1):
    torch.manual_seed(0)
    return torch.randn(batch, 16, frames, height, width)


def equal(ours, core):
    assert ours.shape == core.shape, (ours.shape, core.shape)
    assert ours.dtype == core.dtype
    assert ours.device == core.device
    scale = core.abs().max().clamp(min=1.0)
    assert (ours - core).abs().max() <= 1e-4 * scale, float((ours - core).abs().max())


@contextlib.contextmanager
def recorded_loads():
    from comfy import model_management

    loads, original = [], model_management.load_models_gpu

    def recording(models, memory_required=0, force_full_load=False):
        loads.append(list(models))
        return original(models, memory_required, force_full_load=force_full_load)

    model_management.load_models_gpu = recording
    try:
        yield loads
    finally:
        model_management.load_models_gpu = original
