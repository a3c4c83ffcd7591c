"""copy_boxes on the CPU: native and twin against torch's copies."""

import re

import pytest
import torch
from copy_boxes_cases import check_copy_boxes, check_padded_input
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_cases import CHANNELS, FLOATS, VIEW_PAIRS, VIEWS

from truetile import native
from truetile.errors import InvalidArgument
from truetile.native import locate

pytestmark = pytest.mark.usefixtures("native_or_twin")
PLAIN = ("contiguous", "contiguous")


@pytest.mark.parametrize("views", VIEW_PAIRS, ids=str)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_copies_every_bit_between_any_views(dtype, views):
    sizes = [(2, 300, 9, 16), (1, 3, 700, 5), (3, 1, 1, 8)]
    check_copy_boxes(native.copy_boxes, sizes, dtype, "cpu", [views] * 3)


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_of_any_channels(dtype, channels):
    sizes = [(2, 3, 7, channels), (1, 2, 5, channels)]
    check_copy_boxes(native.copy_boxes, sizes, dtype, "cpu", [PLAIN, ("cropped", "odd")])


@pytest.mark.parametrize("channels", [3, 16])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_of_the_engines_buffers(dtype, channels):
    check_padded_input(native.copy_boxes, dtype, "cpu", 12, 11, channels)


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_of_random_boxes(data):
    count = data.draw(st.integers(0, 4))
    sizes = [tuple(data.draw(st.integers(0, 6)) for _ in range(4)) for _ in range(count)]
    views = [tuple(data.draw(st.sampled_from(VIEWS)) for _ in range(2)) for _ in range(count)]
    dtype = data.draw(st.sampled_from(FLOATS))
    check_copy_boxes(native.copy_boxes, sizes, dtype, "cpu", views)


def test_no_boxes_are_no_call():
    before = native.status()["calls"]
    native.copy_boxes([], ())
    assert native.status()["calls"] == before


def test_calls_are_counted_whatever_their_boxes(native_or_twin):
    def calls():
        found = native.status()["calls"].items()
        return sum(n for key, n in found if key.startswith(f"copy_boxes: {native_or_twin}"))

    before, x = calls(), torch.zeros(1, 1, 1, 1)
    for count in range(1, 5):
        native.copy_boxes([x] * count, [torch.ones_like(x) for _ in range(count)])
    assert calls() == before + 4


def test_strides_that_are_never_taken_may_be_anything():
    x = torch.randn(1, 1, 1, 1)
    odd = torch.zeros(7)[1:].as_strided((1, 1, 1, 1), (5, 3, 2, 9))
    native.copy_boxes([x], [odd])
    assert odd.item() == x.item()


def test_a_source_may_have_no_strides():
    x, out = torch.randn(1, 1, 5, 8), torch.zeros(3, 4, 5, 8)
    native.copy_boxes([x.expand(3, 4, 5, 8)], [out])
    assert torch.equal(out, x.expand(3, 4, 5, 8))


X, OTHER = torch.zeros(2, 3, 4, 8), torch.ones(1, 2, 4, 8)
GAPS = torch.zeros(2, 3, 4, 16)[..., ::2]
BAD = [
    ([X] * 5, [X] * 5, "len(sources)=5: must be in [0, 4]"),
    ([X], [], "len(targets)=0: must be 1 (as sources)"),
    ([], [X], "len(targets)=1: must be 0 (as sources)"),
    ([X[0]], [X], "sources[0].dim()=3: must be 4"),
    ([X, X], [X, X[None]], "targets[1].dim()=5: must be 4"),
    ([X.double()], [X], "must be one of float32, float16, bfloat16"),
    ([X, X], [X, X.half()], "must be that of sources[0]"),
    ([X, OTHER.half()], [X, OTHER.half()], "must be that of sources[0]"),
    ([X, X, GAPS], [X, X, X], "sources[2].stride(3)=2: must be 1"),
    ([X], [GAPS], "targets[0].stride(3)=2: must be 1"),
    ([X, X, X, OTHER], [X] * 4, "targets[3].size(0)=2: must be 1 (as its source)"),
    ([X[:, :2]], [X], "targets[0].size(1)=3: must be 2 (as its source)"),
    ([X[:, :, 1:]], [X], "targets[0].size(2)=4: must be 3 (as its source)"),
    ([X], [X[..., :4]], "targets[0].size(3)=4: must be 8 (as its source)"),
    ([X[:0]], [X], "targets[0].size(0)=2: must be 0 (as its source)"),
]


@pytest.mark.parametrize(("sources", "targets", "message"), BAD, ids=[m for _, _, m in BAD])
def test_names_what_is_wrong(sources, targets, message):
    with pytest.raises(InvalidArgument, match=re.escape(message)) as caught:
        native.copy_boxes(sources, targets)
    assert str(caught.value).startswith("copy_boxes: ")


@pytest.mark.parametrize("count", range(1, 5))
def test_opcheck(count):
    if not locate.enabled():
        pytest.skip("the twin is no op")
    overload = getattr(torch.ops.truetile.copy_boxes, ("one", "two", "three", "four")[count - 1])
    sources = [torch.randn(1, 2, 2, 8) for _ in range(count)]
    torch.library.opcheck(overload, (*sources, *(torch.zeros_like(x) for x in sources)))
