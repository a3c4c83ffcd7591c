"""The exact engine against diffusers' modules of every family at sizes that people use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from exact_cases import TOLERANCE, difference, module_result
from hunyuan10_cases import hunyuan10
from kl_cases import kl_module
from size_cases import LARGE, LARGE_STILLS, LONG, by_middle_plan, source_for
from video_modules import hunyuan15, qwen_image, wan, wan22

from truetile.demo.port import use_onednn

pytest.importorskip("diffusers")
pytestmark = pytest.mark.usefixtures("full_float32")

KL = {"block_out_channels": (4, 4, 8, 8)}


@dataclass(frozen=True)
class Family:
    """Narrow modules and the sizes that are tested of them; `edge`, `unit` as in `source_for`."""

    make: Callable[[], torch.nn.Module]
    sizes: tuple[tuple[int, int, int], ...]
    edge: int = 8
    unit: int = 1
    clamps: bool = False  # what it decodes


FAMILIES = {
    "wan 2.1": Family(lambda: wan(base_dim=4), LARGE + LONG, clamps=True),
    "qwen-image": Family(lambda: qwen_image(base_dim=4), LARGE_STILLS + LONG, clamps=True),
    "wan 2.2": Family(wan22, LARGE + LONG, edge=16, unit=16, clamps=True),
    "hunyuan 1.0": Family(
        lambda: hunyuan10(block_out_channels=(4, 4, 8, 8), norm_num_groups=2), LARGE + LONG
    ),
    "hunyuan 1.5": Family(
        lambda: hunyuan15(block_out_channels=(4, 4, 8, 8, 8)), LARGE + LONG, edge=16, unit=16
    ),
    "sd": Family(lambda: kl_module(**KL), LARGE_STILLS),
    "flux.1": Family(
        lambda: kl_module(
            **KL, latent_channels=16, use_quant_conv=False, use_post_quant_conv=False
        ),
        LARGE_STILLS,
    ),
    "flux.2": Family(
        lambda: kl_module(**KL, kind="AutoencoderKLFlux2", decoder_block_out_channels=(4, 8, 8, 8)),
        LARGE_STILLS,
    ),
}


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
@pytest.mark.parametrize("operation", ["decode", "encode"])
@pytest.mark.parametrize(
    ("name", "size"),
    [
        pytest.param(name, size, id=f"{name} {'x'.join(map(str, size))}")
        for name, family in FAMILIES.items()
        for size in family.sizes
    ],
)
def test_float32_equals_the_module(name: str, size, operation: str, device: str) -> None:
    family = FAMILIES[name]
    module = family.make().to(device)
    if device == "cpu":
        use_onednn(module)  # torch's other kernel takes several times as long for few channels
    source = source_for(module, operation, size, family.edge, family.unit).to(device)
    want = module_result(module, operation, source).cpu()
    got = by_middle_plan(module, operation, source)
    got = got.clamp(-1, 1) if family.clamps and operation == "decode" else got
    assert difference(got, want) <= TOLERANCE
