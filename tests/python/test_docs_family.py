"""The family of docs/add_family.md is one: its program equals a module that is built like it."""

from __future__ import annotations

import re

import pytest
import torch
from docs_tools import ROOT

import truetile
from truetile.engine import selftest
from truetile.engine.callables_port import CallablesPort
from truetile.families.program import Declined


class Block(torch.nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = (torch.nn.GroupNorm(4, width, eps=1e-6) for _ in range(2))
        self.conv1, self.conv2 = (torch.nn.Conv2d(width, width, 3, padding=1) for _ in range(2))

    def forward(self, x):
        middle = self.conv1(torch.nn.functional.silu(self.norm1(x)))
        return x + self.conv2(torch.nn.functional.silu(self.norm2(middle)))


class AutoencoderMine(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.decoder = decoder = torch.nn.Module()
        decoder.tanh_out = False
        decoder.conv_in = torch.nn.Conv2d(4, 8, 3, padding=1)
        decoder.blocks = torch.nn.ModuleList(Block(8) for _ in range(3))
        decoder.norm_out = torch.nn.GroupNorm(4, 8, eps=1e-6)
        decoder.conv_out = torch.nn.Conv2d(8, 3, 3, padding=1)

    def decode(self, z):
        x = self.decoder.conv_in(z)
        for block in self.decoder.blocks:
            x = block(x)
        return self.decoder.conv_out(torch.nn.functional.silu(self.decoder.norm_out(x)))


class Port(CallablesPort):
    """A VAE given by `decode`, whose layers the family tells for `module`."""

    def __init__(self, family: dict, module: torch.nn.Module, decode) -> None:
        super().__init__(truetile.Callables(decode=decode, spatial=1))
        self._family, self._module = family, module

    def program(self, operation: str, *, still: bool):
        return self._family[operation](self._module, still=still)

    def weight(self, module: torch.nn.Module, name: str, dtype: torch.dtype):
        return getattr(module, name)

    def patches(self) -> None:
        """None are made."""

    def unload(self) -> int:
        return 0

    def make_room(self, needed_bytes: int) -> None:
        """Main memory."""


@pytest.fixture
def family() -> dict:
    (code,) = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / "add_family.md").read_text(), re.DOTALL
    )
    names = {"__name__": "truetile.families.mine", "__package__": "truetile.families"}
    names["torch"] = torch
    exec(compile(code, "docs/add_family.md", "exec"), names)
    return names


def test_the_example_equals_its_module(family) -> None:
    torch.manual_seed(0)
    module = AutoencoderMine().eval()
    assert family["accepts"](module) and not family["accepts"](Block(8))
    latent = torch.randn(1, 4, 33, 40)
    pixels, report = truetile.decode(Port(family, module, module.decode), latent)
    assert report.exact and report.plan.startswith("My VAE")
    want = (module.decode(latent).clamp(-1, 1) + 1) / 2
    assert torch.allclose(pixels, want.permute(0, 2, 3, 1), atol=5e-5)


def test_the_self_test_finds_a_family_that_is_wrong(family) -> None:
    module, other = AutoencoderMine().eval(), AutoencoderMine().eval()
    selftest.forget()
    latent = torch.randn(1, 4, 33, 40)
    _, report = truetile.decode(Port(family, module, other.decode), latent)
    assert "self-test: largest difference" in report.why
    selftest.forget()


def test_the_example_declines_what_it_does_not_know(family) -> None:
    module = AutoencoderMine().eval()
    module.decoder.tanh_out = True
    with pytest.raises(Declined, match="tanh"):
        family["decode"](module, still=True)
