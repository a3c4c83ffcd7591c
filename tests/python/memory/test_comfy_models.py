"""ComfyUI's model management as an account sees it: legacy, dynamic, and what v0.3.64 lacks."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

from simulated import MIB, SimulatedDevice

from truetile.memory import core

NAME = "truetile_pack_for_memory_tests"
REPOSITORY = Path(__file__).resolve().parents[3]


class Loaded:
    """comfy.model_management.LoadedModel, with its way of comparing."""

    def __init__(self, patcher):
        self.model, self.device = patcher, torch.device("cuda", 0)

    def __eq__(self, other):
        return self.model is other.model  # a patcher has another `model`: never equal

    __hash__ = None


class Pages:
    base_addr, max_size = 1 << 50, 1 << 30

    def __init__(self, size):
        self.size = size

    def loaded_size(self):
        return self.size


@pytest.fixture
def comfyui(monkeypatch):
    """A fake model management that frees what is not kept; gives it and the adapter's module."""
    mm = ModuleType("comfy.model_management")
    mm.current_loaded_models, mm.freed, mm.EXTRA_RESERVED_VRAM = [], [], 400 * MIB
    mm.get_free_memory = lambda device: 5 * MIB

    def free_memory(required, device, keep_loaded=()):
        mm.freed.append(required)
        for loaded in list(mm.current_loaded_models):
            if loaded not in keep_loaded:
                mm.current_loaded_models.remove(loaded)

    mm.free_memory = free_memory
    comfy = ModuleType("comfy")
    comfy.model_management = mm
    monkeypatch.setitem(sys.modules, "comfy", comfy)
    monkeypatch.setitem(sys.modules, "comfy.model_management", mm)
    spec = importlib.util.spec_from_file_location(NAME, REPOSITORY / "__init__.py")
    pack = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, NAME, pack)
    spec.loader.exec_module(pack)
    yield mm, importlib.import_module(f"{NAME}.comfy_nodes.memory_models")
    for name in [name for name in sys.modules if name.startswith(NAME)]:
        del sys.modules[name]


def patcher(model, dynamic=False):
    return SimpleNamespace(model=model, model_size=lambda: 64 * MIB, is_dynamic=lambda: dynamic)


class Unet(torch.nn.Module):
    """Two parameters that share one storage, as tied weights do."""

    def __init__(self, device: SimulatedDevice) -> None:
        super().__init__()
        storage = device.allocate(8 * MIB)
        self.keep = storage
        self.one = torch.nn.Parameter(storage, requires_grad=False)
        self.two = torch.nn.Parameter(storage[: 4 * MIB], requires_grad=False)


def build(mm):
    device = SimulatedDevice()
    device.device = torch.device("cuda", 0)
    models = [Unet(device), Unet(device)]
    patchers = [patcher(model) for model in models]
    mm.current_loaded_models[:] = [Loaded(entry) for entry in patchers]
    return device, models, patchers


def test_each_storage_counts_once(comfyui):
    mm, adapter = comfyui
    device, models, _ = build(mm)
    first, second = adapter.ComfyModels().models(device)
    assert (first.name, second.name) == ("Unet", "Unet #2")
    assert first.in_torch == 8 * MIB
    assert first.pages == 0
    assert first.key == id(models[0])


def test_what_is_connected_stays_although_patchers_never_compare_equal(comfyui):
    mm, adapter = comfyui
    device, models, patchers = build(mm)
    vae = SimpleNamespace(patcher=patchers[1])
    keys = adapter.keys_of([vae, "text", None])
    assert keys == (id(models[1]),)
    adapter.ComfyModels().unload(device, keys)
    assert [entry.model for entry in mm.current_loaded_models] == [patchers[1]]
    assert 2**40 < mm.freed[0] < 2**63, "more than any card, and it fits 64 bits"


def test_n_bytes_are_asked_for_beyond_what_is_free(comfyui):
    mm, adapter = comfyui
    device, *_ = build(mm)
    adapter.ComfyModels().free(device, 3 * MIB, [])
    assert mm.freed == [8 * MIB]


def test_dynamic_pages_are_counted_outside_torch(comfyui):
    mm, adapter = comfyui
    device, models, _ = build(mm)
    models[0].dynamic_vbars = {torch.device("cuda", 0): Pages(96 * MIB)}
    mm.current_loaded_models[0].model.is_dynamic = lambda: True
    first, _ = adapter.ComfyModels().models(device)
    assert (first.in_torch, first.pages, first.dynamic) == (8 * MIB, 96 * MIB, True)
    names = [owner.name for owner in first.owners()]
    assert names == ["Unet", "Unet (dynamic pages)"]


def test_a_model_whose_patcher_is_gone_is_called_leaked(comfyui):
    mm, adapter = comfyui
    device, models, _ = build(mm)
    loaded = mm.current_loaded_models[0]
    loaded.model, loaded.real_model = None, lambda: models[0]
    assert adapter.ComfyModels().models(device)[0].name == "Unet (leaked: no patcher)"


def test_headroom_is_put_back_on_every_path(comfyui):
    mm, adapter = comfyui
    device, *_ = build(mm)
    manager = adapter.ComfyModels()
    with pytest.raises(KeyError), manager.reserve(device, 900 * MIB):
        assert mm.EXTRA_RESERVED_VRAM == 900 * MIB
        raise KeyError("a node failed")
    assert mm.EXTRA_RESERVED_VRAM == 400 * MIB
    with manager.reserve(device, MIB):
        assert mm.EXTRA_RESERVED_VRAM == 400 * MIB, "the user's larger reserve stays"
    with manager.reserve(device, 900 * MIB):
        mm.EXTRA_RESERVED_VRAM = 1000 * MIB
    assert mm.EXTRA_RESERVED_VRAM == 1000 * MIB, "somebody else's later change is theirs"


def test_headroom_of_a_phase_ends_with_the_prompt(comfyui, monkeypatch):
    mm, adapter = comfyui
    knobs = adapter.memory_knobs
    monkeypatch.setattr(knobs, "_POLL_SECONDS", 0.01)
    running = {0: (0, "prompt-1")}
    server = ModuleType("server")
    queue = SimpleNamespace(currently_running=running)
    server.PromptServer = SimpleNamespace(instance=SimpleNamespace(prompt_queue=queue))
    monkeypatch.setitem(sys.modules, "server", server)
    assert "ComfyUI's reserve" in knobs.keep_free_for_phase(900 * MIB, "prompt-1")[0]
    assert mm.EXTRA_RESERVED_VRAM == 900 * MIB
    running.clear()  # the prompt failed, was interrupted, or ended
    import time

    deadline = time.monotonic() + 5
    while mm.EXTRA_RESERVED_VRAM != 400 * MIB and time.monotonic() < deadline:
        time.sleep(0.01)
    assert mm.EXTRA_RESERVED_VRAM == 400 * MIB


def test_buffers_of_either_kind_are_lines_of_their_own(comfyui):
    mm, adapter = comfyui
    device, *_ = build(mm)
    assert adapter.ComfyModels().buffers(device) == [], "v0.3.64 has none"
    mm.STREAM_CAST_BUFFERS = {"stream": device.allocate(12 * MIB)}
    paged = SimpleNamespace(device=0, size=lambda: 32 * MIB, base_addr=1 << 50, max_size=1 << 34)
    mm.STREAM_AIMDO_CAST_BUFFERS = {"stream": paged}
    plain, pages = adapter.ComfyModels().buffers(device)
    assert (plain.owner.bytes, plain.owner.in_torch) == (12 * MIB, True)
    assert (pages.owner.bytes, pages.owner.in_torch) == (32 * MIB, False)


def test_a_report_without_pillow_has_no_picture_and_says_why(comfyui, monkeypatch, caplog):
    report = importlib.import_module(f"{NAME}.comfy_nodes.memory_report")
    monkeypatch.setitem(sys.modules, "PIL", None)
    timeline = {
        "device": "x", "allocator": "ram", "channels": list(core.CHANNELS), "samples": [],
        "phases": [],
    }  # fmt: skip
    assert report._picture(timeline, "dark") is None
    assert "could not draw the plot" in caplog.text
    monkeypatch.undo()
    assert report._picture(timeline, "dark").startswith(b"\x89PNG")
