"""The adapter in ComfyUI versions that cannot be run here: what they lack must not be needed.

A stand-in for v0.3.64, with the signatures it had: no `advanced` inputs, no search aliases, no
`is_oom`, no device context, no patcher that knows free memory, no text on nodes.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

REPOSITORY = Path(__file__).resolve().parents[2]
NAME = "truetile_pack_in_an_old_comfyui"


class OldInput:
    def __init__(
        self, id, display_name=None, optional=False, tooltip=None, lazy=None, default=None,
        min=None, max=None, step=None, options=None, extra_dict=None,
    ):  # fmt: skip
        self.id, self.tooltip, self.default = id, tooltip, default


class OldOutput:
    def __init__(self, id=None, display_name=None, tooltip=None, is_output_list=False):
        self.display_name = display_name


@dataclass
class OldSchema:
    node_id: str
    display_name: str = ""
    category: str = "sd"
    inputs: list = field(default_factory=list)
    outputs: list = field(default_factory=list)
    hidden: list = field(default_factory=list)
    description: str = ""


class OldNodeOutput:
    def __init__(self, *args, ui=None):
        self.args, self.ui = args, ui


@pytest.fixture
def old_comfyui(monkeypatch):
    """Modules `comfy` and `comfy_api` of old, and the log of the calls they got."""
    calls = []
    kind = SimpleNamespace(Input=OldInput, Output=OldOutput)
    names = ("Image", "Latent", "Vae", "Combo", "Float", "Int", "String")
    node = type("ComfyNode", (), {"hidden": SimpleNamespace(unique_id="7")})
    io = SimpleNamespace(**dict.fromkeys(names, kind), Schema=OldSchema, ComfyNode=node)
    io.NodeOutput, io.Hidden = OldNodeOutput, SimpleNamespace(unique_id="UNIQUE_ID")
    management = module("comfy.model_management")
    management.load_models_gpu = lambda models, memory_required=0: calls.append(memory_required)
    management.get_free_memory = lambda device: 8 * 2**30
    management.throw_exception_if_processing_interrupted = lambda: None
    management.OOM_EXCEPTION = torch.cuda.OutOfMemoryError
    utilities = module("comfy.utils")
    utilities.ProgressBar = lambda total: SimpleNamespace(
        update_absolute=lambda value, total=None, preview=None: calls.append((value, total))
    )
    latest = module("comfy_api.latest", io=io, ui=SimpleNamespace(), ComfyExtension=object)
    comfy = module("comfy", model_management=management, utils=utilities)
    for fake in (comfy, management, utilities, module("comfy_api", latest=latest), latest):
        monkeypatch.setitem(sys.modules, fake.__name__, fake)
    monkeypatch.delitem(sys.modules, "server", raising=False)
    yield calls
    for name in [name for name in sys.modules if name.split(".")[0] == NAME]:
        del sys.modules[name]


def module(name, **contents):
    made = ModuleType(name)
    vars(made).update(contents)
    return made


def nodes():
    spec = importlib.util.spec_from_file_location(NAME, REPOSITORY / "__init__.py")
    pack = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = pack
    spec.loader.exec_module(pack)
    return importlib.import_module(f"{NAME}.comfy_nodes.nodes_vae")


class Halves(torch.nn.Module):
    """A VAE of scale 2 whose decode repeats pixels and whose encode takes their mean."""

    def decode(self, z):
        return torch.nn.functional.interpolate(z[:, :3], scale_factor=2)

    def encode(self, x):
        return torch.nn.functional.avg_pool2d(torch.cat([x, x[:, :1]], 1), 2)


def old_vae():
    """The attributes that comfy.sd.VAE of v0.3.64 had."""
    return SimpleNamespace(
        first_stage_model=Halves(),
        patcher=object(),
        device=torch.device("cpu"),
        output_device=torch.device("cpu"),
        vae_dtype=torch.float32,
        latent_dim=2,
        latent_channels=4,
        output_channels=3,
        upscale_ratio=2,
        downscale_ratio=2,
        disable_offload=True,
        extra_1d_channel=None,
        process_input=lambda image: image * 2.0 - 1.0,
        process_output=lambda image: torch.clamp((image + 1.0) / 2.0, min=0.0, max=1.0),
        memory_used_decode=lambda shape, dtype: 100 * shape[2] * shape[3],
        memory_used_encode=lambda shape, dtype: 100 * shape[2] * shape[3],
        vae_encode_crop_pixels=lambda pixels: pixels,
        throw_exception_if_invalid=lambda: None,
    )


def test_schemas_leave_out_what_the_version_does_not_know(old_comfyui):
    for node in (nodes().TrueTileVAEDecode, nodes().TrueTileVAEEncode, nodes().TrueTileVAE):
        schema = node.define_schema()
        assert schema.category == "TrueTile"
        assert all(given.tooltip for given in schema.inputs)


def test_decode_and_encode_run_on_what_the_version_has(old_comfyui):
    loaded = nodes()
    samples = {"samples": torch.rand(2, 4, 8, 12)}
    decoded = loaded.TrueTileVAEDecode.execute(samples, old_vae(), mode="untiled")
    assert decoded.args[0].shape == (2, 16, 24, 3)
    assert "untiled" in decoded.args[1]
    encoded = loaded.TrueTileVAEEncode.execute(decoded.args[0], old_vae(), mode="untiled")
    assert encoded.args[0]["samples"].shape == (2, 4, 8, 12)
    assert any(isinstance(call, tuple) for call in old_comfyui), "no progress"
    assert any(isinstance(call, int) and call >= 1 for call in old_comfyui), "model not loaded"


def test_core_s_clamp_on_overlaps_is_applied(old_comfyui):
    loaded = nodes()
    samples = {"samples": torch.rand(1, 4, 128, 128)}
    settings = {"mode": "blended", "tile_size": 64, "overlap": 64}
    decoded = loaded.TrueTileVAEDecode.execute(samples, old_vae(), **settings)
    assert "tiles of 64 px" in decoded.args[1]


def test_an_audio_vae_is_refused_with_the_node_to_use(old_comfyui):
    audio = old_vae()
    audio.latent_dim = 1
    with pytest.raises(ValueError, match=r"vae: .*VAE Decode Audio"):
        nodes().TrueTileVAEDecode.execute({"samples": torch.rand(1, 4, 8)}, audio)
    with pytest.raises(ValueError, match=r"vae: .*VAE Encode Audio"):
        nodes().TrueTileVAEEncode.execute(torch.rand(1, 8, 8, 3), audio)


def loaded(model, device) -> SimpleNamespace:
    """An entry of ComfyUI's list of loaded models."""
    return SimpleNamespace(model=SimpleNamespace(model=model), device=device)


def test_room_is_asked_for_as_the_version_can(old_comfyui, monkeypatch):
    """`for_dynamic` came with dynamic VRAM; main memory is never freed."""
    nodes()
    host = importlib.import_module(f"{NAME}.comfy_nodes.host")
    management = sys.modules["comfy.model_management"]
    card, asked = torch.device("cuda", 0), []
    patcher = SimpleNamespace(is_dynamic=lambda: True)

    def old(memory_required, device, keep_loaded=[]):  # noqa: B006
        asked.append((memory_required, device))

    def new(memory_required, device, keep_loaded=[], for_dynamic=False):  # noqa: B006
        asked.append((memory_required, device, for_dynamic))

    monkeypatch.setattr(management, "free_memory", old, raising=False)
    host.make_room(patcher, card, 1000)
    monkeypatch.setattr(management, "extra_reserved_memory", lambda: 23, raising=False)
    monkeypatch.setattr(management, "free_memory", new)
    host.make_room(patcher, card, 1000)
    host.make_room(object(), card, 1000)
    host.make_room(patcher, torch.device("cpu"), 1000)
    assert asked == [(1000, card), (1023, card, True), (1023, card, False)]


def test_only_the_model_at_hand_is_unloaded(old_comfyui, monkeypatch):
    nodes()
    host = importlib.import_module(f"{NAME}.comfy_nodes.host")
    management = sys.modules["comfy.model_management"]
    card, other_card = torch.device("cuda", 0), torch.device("cuda", 1)
    vae, another = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    clone, elsewhere = loaded(vae, card), loaded(vae, other_card)
    stranger, dead = loaded(another, card), SimpleNamespace(model=None, device=card)
    entries, kept = [loaded(vae, card), stranger, clone, elsewhere, dead], []

    def free_memory(memory_required, device, keep_loaded=[]):  # noqa: B006
        assert device == card and memory_required > 1 << 40
        kept.append(keep_loaded)

    monkeypatch.setattr(management, "free_memory", free_memory, raising=False)
    monkeypatch.setattr(management, "current_loaded_models", entries, raising=False)
    host.unload_model(vae, card)
    host.unload_model(torch.nn.Linear(2, 2), card)
    assert kept == [[stranger, elsewhere, dead]]


def test_bytes_that_stay_are_counted_with_their_pages(old_comfyui):
    nodes()
    host = importlib.import_module(f"{NAME}.comfy_nodes.host")
    model, meta = torch.nn.Linear(4, 8), torch.device("meta")
    assert host.resident_bytes(model, meta) == 0
    assert host.resident_bytes(model, torch.device("cpu")) == 0, "where weights rest"
    model.to(meta)
    assert host.resident_bytes(model, meta) == (32 + 8) * 4
    model.dynamic_vbars = {meta: SimpleNamespace(loaded_size=lambda: 1000)}
    assert host.resident_bytes(model, meta) == (32 + 8) * 4 + 1000
