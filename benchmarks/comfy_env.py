"""ComfyUI's own VAE objects with random weights, for measuring beside them in one process.

ComfyUI is never imported by the product in this way; a benchmark may, from a checkout given on the
command line.
"""

from __future__ import annotations

import importlib.util
import sys
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
    """A `comfy.sd.VAE` of family "sdxl" or "wan21" with torch's default initialisation, seed 0."""
    import comfy.sd

    torch.manual_seed(0)
    if name == "sdxl":
        from comfy.ldm.models.autoencoder import AutoencoderKL

        module = AutoencoderKL(ddconfig=dict(KL), embed_dim=4)
    elif name == "wan21":
        from comfy.ldm.wan.vae import WanVAE

        module = WanVAE(**(WAN | ({"dim": width} if width else {})))
    else:
        raise ValueError(f"name={name}: must be sdxl or wan21")
    kinds = (nn.modules.conv._ConvNd, nn.Linear, nn.GroupNorm, nn.LayerNorm)
    for layer in module.modules():
        # ComfyUI's layers leave their memory uninitialised: weights always come from a file.
        for kind in kinds:
            if isinstance(layer, kind):
                kind.reset_parameters(layer)
                break
    return comfy.sd.VAE(sd=module.state_dict(), dtype=dtype)
