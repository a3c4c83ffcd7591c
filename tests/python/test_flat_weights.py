"""Packed weights in one buffer: the same values, shapes and strides, in no more bytes."""

from __future__ import annotations

import pytest
import torch
from exact_cases import latents, pixels, program_for
from hypothesis import given, settings
from hypothesis import strategies as st
from kl_cases import kl_module, picture
from video_modules import hunyuan15, wan

from truetile.engine.exact_weights import Packed, as_stored, pack, weights_of
from truetile.engine.flat_weights import copied_into, flat_bytes, seen_in
from truetile.engine.weight_bytes import packed_bytes

pytest.importorskip("diffusers")
CPU = torch.device("cpu")
FIELDS = ("weight", "bias", "gamma", "beta", "proj", "proj_bias", "blocked")


@pytest.fixture(
    params=["clip", "still", "encoded clip", "image", "encoded image", "flux.2", "hunyuan 1.5"]
)
def program(request):
    return make_program(request.param)


def make_program(name: str):
    if name == "flux.2":
        return program_for(kl_module(kind="AutoencoderKLFlux2"), "decode", picture(4, 4, 6))
    if name == "hunyuan 1.5":
        return program_for(hunyuan15(block_out_channels=(32,) * 5), "decode", latents(2, 4, 4))
    operation = "encode" if name.startswith("encoded") else "decode"
    if name.endswith("image"):
        size = (3, 16, 16) if operation == "encode" else (4, 5, 3)
        return program_for(kl_module(block_out_channels=(32, 64)), operation, picture(*size))
    source = {"clip": latents(2, 4, 4), "still": latents(1, 4, 4)}.get(name, pixels(5, 32, 32))
    return program_for(wan(base_dim=16), operation, source)


def check_equal(ours, theirs) -> None:
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert (one is None) == (other is None)
        if one is None:
            continue
        assert one.eps == other.eps
        for name in FIELDS:
            a, b = getattr(one, name), getattr(other, name)
            assert (a is None) == (b is None), name
            if a is not None:
                assert a.dtype == b.dtype and a.shape == b.shape, name
                assert a.stride() == b.stride() and torch.equal(a, b), name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_a_programs_weights_come_back_as_they_were(program, dtype) -> None:
    packed = pack(program, CPU, dtype)
    size = flat_bytes(packed)
    assert size <= packed_bytes(program, CPU, dtype)
    flat = torch.empty(size, dtype=torch.uint8)
    copy = copied_into(flat, packed)
    check_equal(copy, packed)
    again = flat.clone()
    flat.zero_()
    uploaded = seen_in(again, copy)
    check_equal(uploaded, packed)
    for one in uploaded:
        for value in () if one is None else vars(one).values():
            if isinstance(value, torch.Tensor):
                assert value.untyped_storage().data_ptr() == again.data_ptr()
                assert (value.data_ptr() - again.data_ptr()) % 512 == 0


def test_all_that_is_packed_is_listed(program) -> None:
    """A weight that is packed and not listed could change without being noticed."""
    read = set()

    def reading(module, name, dtype):
        read.add((module, name))
        return as_stored(module, name, dtype)

    pack(program, CPU, torch.float32, reading)
    assert read == set(weights_of(program))


shapes = st.lists(st.integers(1, 5), min_size=1, max_size=5)
dtypes = st.sampled_from([torch.float32, torch.bfloat16, torch.float16, torch.float64])


@st.composite
def layouts(draw):
    """Tensors of any order of axes, some of them parts of larger ones."""
    shape = draw(shapes)
    value = torch.randn(shape).to(draw(dtypes)).permute(draw(st.permutations(range(len(shape)))))
    return value[: draw(st.integers(1, value.shape[0]))]


@settings(deadline=None)
@given(st.lists(layouts(), min_size=1, max_size=7))
def test_any_layout_comes_back(values) -> None:
    fields = dict.fromkeys(FIELDS) | dict(zip(FIELDS, values, strict=False))
    packed = (None, Packed(**fields))
    flat = torch.empty(flat_bytes(packed), dtype=torch.uint8)
    copy = copied_into(flat, packed)
    uploaded = seen_in(flat.clone(), copy)
    # A part with gaps is stored without them; all others keep their strides.
    dense = tuple(
        None if one is None else Packed(**{n: _dense(getattr(one, n)) for n in FIELDS})
        for one in packed
    )
    check_equal(uploaded, dense)


def _dense(value):
    return None if value is None else torch.empty_like(value).copy_(value)
