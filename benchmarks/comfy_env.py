"""ComfyUI's own VAE objects with random weights, for measuring beside them in one process.

ComfyUI is never imported by the product in this way; a benchmark may, from a checkout given on the
command line.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

ROOT = Path(__file__).resolve().parent.parent
KL = {
    "double_z": True,
    "z_channels": 4,
    "resolution": 256,
    "in_channels": 3,
    "out_ch": 3,
    "ch": 128,
    "ch_mult": [1, 2, 4, 4],
    "num_res_blocks": 2,
    "attn_resolutions": [],
    "dropout": 0.0,
}
WAN = {
    "dim": 96,
    "z_dim": 16,
    "dim_mult": [1, 2, 4, 4],
    "num_res_blocks": 2,
    "attn_scales": [],
    "temperal_downsample": [False, True, True],
    "image_channels": 3,
    "conv_out_channels": 3,
    "dropout": 0.0,
}
WAN22 = {
    "dim": 160,
    "dec_dim": 256,
    "z_dim": 48,
    "dim_mult": [1, 2, 4, 4],
    "num_res_blocks": 2,
    "attn_scales": [],
    "temperal_downsample": [False, True, True],
    "dropout": 0.0,
}
HUNYUAN15 = {
    "block_out_channels": [128, 256, 512, 1024, 1024],
    "in_channels": 3,
    "out_channels": 3,
    "num_res_blocks": 2,
    "ffactor_spatial": 16,
    "ffactor_temporal": 4,
    "downsample_match_channel": True,
    "upsample_match_channel": True,
    "z_channels": 32,
}
HUNYUAN10 = KL | {"z_channels": 16, "conv3d": True, "time_compress": 4}
NAMES = ("sdxl", "wan21", "wan22", "hunyuan10", "hunyuan15")


def start(comfyui: Path, *, dynamic_vram: bool = False) -> None:
    """Makes `import comfy` work. Must come before anything else touches ComfyUI."""
    sys.path.insert(0, str(comfyui))
    sys.argv = sys.argv[:1]
    import comfy.options

    comfy.options.enable_args_parsing(False)
    if not torch.cuda.is_available():
        import comfy.cli_args

        comfy.cli_args.args.cpu = True
    if dynamic_vram:
        raise SystemExit("dynamic VRAM starts with the server only; use the server tests")


def pack() -> ModuleType:
    """TrueTile as ComfyUI loads it: a package under a name of its own, relative imports only."""
    spec = importlib.util.spec_from_file_location(
        "truetile_pack", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["truetile_pack"] = module
    spec.loader.exec_module(module)
    importlib.import_module("truetile_pack.comfy_nodes.vae_port").register()
    return importlib.import_module("truetile_pack.truetile")


def make_vae(name: str, dtype: torch.dtype, width: int | None = None):
    """A `comfy.sd.VAE` of a family in NAMES with torch's default initialisation, seed 0.

    `width` replaces the channels of the first level; the others follow.
    """
    import comfy.sd
    from comfy.ldm.hunyuan_video.vae_refiner import Decoder, Encoder
    from comfy.ldm.models.autoencoder import AutoencoderKL
    from comfy.ldm.modules.diffusionmodules import model
    from comfy.ldm.wan import vae, vae2_2

    torch.manual_seed(0)
    changes: dict = {}
    if name == "sdxl":
        module = AutoencoderKL(ddconfig=dict(KL), embed_dim=4)
    elif name == "wan21":
        module = vae.WanVAE(**(WAN | ({"dim": width} if width else {})))
    elif name == "wan22":
        changes = {"dim": width, "dec_dim": width} if width else {}
        module = vae2_2.WanVAE(**(WAN22 | changes))
    elif name == "hunyuan10":
        changes = {"ch": max(32, width), "ch_mult": [1, 1, 2, 2]} if width else {}
        module = AutoencoderKL(ddconfig=HUNYUAN10 | changes, embed_dim=16)
    elif name == "hunyuan15":
        changes = {"block_out_channels": [max(32, width)] * 5} if width else {}
        module = make_hunyuan15(HUNYUAN15 | changes)
    else:
        raise ValueError(f"name={name}: must be one of {', '.join(NAMES)}")
    initialise(module)
    with narrow((vae2_2.WanVAE, Encoder, Decoder, model.Encoder, model.Decoder), changes):
        return comfy.sd.VAE(sd=module.state_dict(), dtype=dtype)


def make_hunyuan15(config: dict) -> nn.Module:
    """As comfy.sd builds it."""
    from comfy.ldm.models.autoencoder import AutoencodingEngine

    home = "comfy.ldm.hunyuan_video.vae_refiner"
    return AutoencodingEngine(
        regularizer_config={"target": "comfy.ldm.models.autoencoder.EmptyRegularizer"},
        encoder_config={"target": f"{home}.Encoder", "params": config},
        decoder_config={"target": f"{home}.Decoder", "params": config},
    )


@contextlib.contextmanager
def narrow(classes: tuple[type, ...], changes: dict) -> Iterator[None]:
    """Within it `classes` are built with `changes`: comfy.sd knows one width of most families."""
    originals = [(one, one.__init__) for one in classes]
    for one, original in originals:

        @functools.wraps(original)
        def init(self, *args, original=original, **config):
            original(self, *args, **(config | changes))

        one.__init__ = init
    try:
        yield
    finally:
        for one, original in originals:
            one.__init__ = original


def initialise(module: nn.Module) -> None:
    """ComfyUI's layers leave their memory uninitialised: weights always come from a file."""
    kinds = (nn.modules.conv._ConvNd, nn.Linear, nn.GroupNorm, nn.LayerNorm)
    for layer in module.modules():
        for kind in kinds:
            if isinstance(layer, kind):
                kind.reset_parameters(layer)
                break
        if isinstance(gamma := getattr(layer, "gamma", None), nn.Parameter):
            nn.init.ones_(gamma)
