"""What packing takes, for the VAEs of all families: on the meta device nothing is computed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from live_bytes import LiveBytes

from truetile.engine.exact_weights import as_stored, pack
from truetile.engine.weight_bytes import packed_bytes, packing_bytes
from truetile.families import presets
from truetile.families.program import Declined, Program
from truetile.families.recognise import program_of

pytest.importorskip("diffusers")


def moved(module, name, dtype):
    """As from another device."""
    value = as_stored(module, name, dtype)
    return None if value is None else value.clone()


def patched(module, name, dtype):
    """As a host patches: what it adds is made in float32 and scaled."""
    value = as_stored(module, name, dtype)
    if value is None:
        return None
    copy = value.to(torch.float32, copy=True)
    copy += torch.empty_like(copy) * 0.5
    return copy.to(dtype)


def programs(name: str, stored: torch.dtype) -> Iterator[Program]:
    module = presets.empty_vae(name).to(stored)
    for operation in ("decode", "encode"):
        yield program_of(module, operation, still=True)
        try:
            clip = program_of(module, operation, still=False)
        except Declined:  # an image VAE
            continue
        yield clip


def most(program: Program, dtype: torch.dtype, read) -> int:
    with LiveBytes() as live:
        pack(program, torch.device("meta"), dtype, read)
    return live.peak


def said(program: Program, dtype: torch.dtype, read) -> int:
    place = torch.device("meta"), dtype
    return packed_bytes(program, *place) + packing_bytes(program, *place, patched=read is patched)


@pytest.mark.parametrize("read", [moved, patched])
@pytest.mark.parametrize(
    ("stored", "dtype"),
    [
        (torch.float32, torch.float32),
        (torch.float32, torch.bfloat16),
        (torch.bfloat16, torch.bfloat16),
        (torch.bfloat16, torch.float32),
    ],
)
@pytest.mark.parametrize("name", presets.NAMES)
def test_packing_takes_what_was_said(name: str, stored, dtype, read) -> None:
    for program in programs(name, stored):
        taken = most(program, dtype, read)
        # The rest are blocks of the allocator that are not full.
        assert taken <= said(program, dtype, read) <= 1.001 * taken


@pytest.mark.parametrize("read", [moved, patched])
@pytest.mark.parametrize("name", presets.NAMES)
def test_no_layer_takes_more_than_was_said(name: str, read) -> None:
    """Also those that are small beside others of their VAE."""
    for program in programs(name, torch.bfloat16):
        layers = {layer.shape: layer for layer in program.layers if layer.conv is not None}
        for layer in layers.values():
            alone = replace(program, layers=(layer,), roll=None)
            for dtype in (torch.bfloat16, torch.float32):
                assert most(alone, dtype, read) <= said(alone, dtype, read), layer
