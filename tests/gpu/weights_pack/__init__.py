"""A node for tests/gpu/test_weights_comfyui.py: a full-width VAE's exact calls, seen from inside.

Everything is measured in ComfyUI's own process, where the model manager and torch's counters are.
"""

from __future__ import annotations

import functools
import gc
import importlib
import json
import sys
import time
from pathlib import Path

import torch
from comfy import model_management

PACK = Path(__file__).resolve().parent.parent / "truetile"
sys.path.append(str(PACK.resolve() / "benchmarks"))

import comfy_env  # noqa: E402
from bench_tiled import core_tiled, inputs  # noqa: E402

PATCHED = {"wan21": ("decoder.conv1", "encoder.conv1"), "sdxl": ("decoder.conv_in", "quant_conv")}


class ProbeWeights:
    """Stock, tiled and exact calls in turn; what they took, and what of the VAE was there."""

    RETURN_TYPES = ()
    FUNCTION = "run"
    CATEGORY = "probe"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        size = ("INT", {"default": 1, "min": 0, "max": 4096})
        text = ("STRING", {})
        sizes = {"height": size, "width": size, "frames": size}
        return {"required": {"family": text, "operation": text, **sizes}}

    @classmethod
    def IS_CHANGED(cls, **_):
        return float("nan")

    def run(self, family, operation, height, width, frames):
        vae = vae_of(family)
        data = inputs(vae, operation, height, width, frames)
        stock = functools.partial(getattr(vae, operation), data)
        first, found = stock(), {"exact": []}
        _, found["tiled"] = measured(lambda: core_tiled(vae, operation, data))
        # Torch does not count dynamic pages.
        most = found["tiled"]["peak"] + pages_of(vae)
        exact = functools.partial(exactly, vae, operation, data)
        for budget in (0.0, most / 2**30):
            exact(budget)  # the self-test and cuDNN's timing are behind it
            stock()
            loaded = on_card(vae)
            (result, report, watched), figures = measured(functools.partial(exact, budget))
            error = (result - first).abs().mean() / first.std()
            figures |= {"budget": int(budget * 2**30), "error": float(error), "loaded": loaded}
            figures |= {"said": report.rungs[-1]["bytes"], "plan": str(report), **watched}
            found["exact"].append(figures | {"stock_after": equal(stock(), first)})
        found["patched"] = patched(vae, family, operation, data, first)
        model_management.unload_all_models()
        return {"ui": {"text": [json.dumps(found)]}}


@functools.cache
def vae_of(family: str):
    return comfy_env.make_vae(family, torch.bfloat16)


def patched(vae, family: str, operation: str, data, plain) -> dict:
    """The same with a patch of two convolutions, and the stock call once it is gone."""
    patcher, call = vae.patcher, getattr(vae, operation)
    vae.patcher = patcher.clone()
    state = vae.first_stage_model.state_dict()
    names = [f"{name}.weight" for name in PATCHED[family]]
    generator = torch.Generator().manual_seed(1)
    for name in names:
        # A number, for a loaded weight is on the card; with dynamic VRAM only a small one is.
        spread = state[name].float().std().item()
        change = torch.randn(state[name].shape, generator=generator) * spread
        vae.patcher.add_patches({name: ("diff", (change,))}, 0.7)
    try:
        before, _, _ = exactly(vae, operation, data)
        stock = call(data)
        after, _, watched = exactly(vae, operation, data)
        again = equal(call(data), stock)
    finally:
        vae.patcher = patcher
    return {
        "changed": float((stock - plain).abs().mean() / plain.std()),
        "errors": [float((one - stock).abs().mean() / stock.std()) for one in (before, after)],
        "stock_after": again,
        "plain_after": equal(call(data), plain),
        **watched,
    }


def exactly(vae, operation: str, data, budget: float = 0.0):
    """The result, the report, and the most of the VAE's own weights that was on the card."""
    service, request = pack("comfy_nodes.service"), pack("truetile.engine.exact_request")
    seen, packing = [], []
    check, pack_weights = service.host.check_interrupt, request.pack

    def timed(*args):
        torch.cuda.synchronize()
        began = time.perf_counter()
        made = pack_weights(*args)
        torch.cuda.synchronize()
        packing.append(time.perf_counter() - began)
        return made

    service.host.check_interrupt = lambda: seen.append(on_card(vae))
    request.pack = timed
    try:
        settings = service.Settings(mode="exact", budget_gib=budget)
        result, report = getattr(service, operation)(vae, data, settings)
    finally:
        service.host.check_interrupt, request.pack = check, pack_weights
    return (
        result,
        report,
        {"seen": max(seen), "looks": len(seen), "packing": max(packing, default=0.0)},
    )


def measured(call):
    """Its result, and torch's peak with what was there before; the VAE is not unloaded here."""
    gc.collect()
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before, began = torch.cuda.memory_allocated(), time.perf_counter()
    result = call()
    torch.cuda.synchronize()
    seconds = time.perf_counter() - began
    peak = torch.cuda.max_memory_allocated()
    return result, {"peak": peak, "before": before, "seconds": seconds}


def on_card(vae) -> int:
    """Bytes of the VAE's own weights on its device: parameters' storages, and dynamic pages."""
    model = vae.first_stage_model
    tensors = [*model.parameters(), *model.buffers()]
    there = sum(one.nbytes for one in tensors if one.untyped_storage().device.type == "cuda")
    return there + pages_of(vae)


def pages_of(vae) -> int:
    pages = (getattr(vae.first_stage_model, "dynamic_vbars", None) or {}).get(vae.device)
    return pages.loaded_size() if pages is not None else 0


def equal(one, other) -> bool:
    return bool(torch.equal(one, other))


def pack(name: str):
    """A module of the pack under test, which ComfyUI imports under a name made of its path."""
    known = ".comfy_nodes.service"
    root = next(path for path in sys.modules if path.endswith(f"truetile{known}"))
    return importlib.import_module(f"{root.removesuffix(known)}.{name}")


NODE_CLASS_MAPPINGS = {"ProbeWeights": ProbeWeights}
