"""softmax_rows on the CPU: native and twin against float64."""

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_cases import FLOATS
from softmax_cases import LENGTHS, NATIVE, TWIN, VIEWS, check, check_in_place, check_special

from truetile import native
from truetile.errors import InvalidArgument
from truetile.native import locate


@pytest.fixture(autouse=True, scope="module")
def per_column(native_or_twin):
    return TWIN if native_or_twin == "twin" else NATIVE


@pytest.mark.parametrize("columns", LENGTHS)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_equals_its_formula(dtype, columns, per_column):
    check(native.softmax_rows, 5, columns, dtype, "cpu", per_column=per_column)


@pytest.mark.parametrize("spread", [0.0, 1e-3, 30.0, 1000.0])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_of_any_spread(dtype, spread, per_column):
    check(native.softmax_rows, 3, 700, dtype, "cpu", spread=spread, per_column=per_column)


@pytest.mark.parametrize("views", [(a, b) for a in VIEWS for b in VIEWS], ids=str)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_of_any_stride_of_rows(dtype, views, per_column):
    check(native.softmax_rows, 6, 37, dtype, "cpu", views, per_column=per_column)


@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_of_random_sizes(per_column, data):
    rows, columns = data.draw(st.integers(0, 9)), data.draw(st.integers(1, 300))
    views = tuple(data.draw(st.sampled_from(VIEWS)) for _ in range(2))
    dtype = data.draw(st.sampled_from(FLOATS))
    check(native.softmax_rows, rows, columns, dtype, "cpu", views, per_column=per_column)


@pytest.mark.parametrize("view", VIEWS)
def test_in_place(view, per_column):
    check_in_place(native.softmax_rows, 4, 513, "cpu", view, per_column)


@pytest.mark.parametrize(("rows", "columns"), [(1500, 1000), (2, 700_001)])
def test_of_more_than_a_million_scores(rows, columns, per_column):
    check(native.softmax_rows, rows, columns, torch.bfloat16, "cpu", per_column=per_column)
    check_in_place(native.softmax_rows, rows, columns, "cpu", "dense", per_column)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_what_is_not_finite_is_as_in_torch(dtype):
    check_special(native.softmax_rows, dtype, "cpu", 50)


@pytest.mark.parametrize("size", [(0, 4), (4, 0)], ids=str)
def test_empty_matrices_are_fine(size):
    native.softmax_rows(torch.zeros(size), torch.zeros(size))


X = torch.zeros(4, 8)
BAD = [
    ({"scores": X[0]}, "scores.dim()=1: must be 2"),
    ({"scores": X.half()}, "must be one of float32"),
    ({"scores": torch.zeros(4, 16)[:, ::2]}, "scores.stride(1)=2: must be 1"),
    ({"out": X[0]}, "out.dim()=1: must be 2"),
    ({"out": X.double()}, "must be one of float32, float16, bfloat16"),
    ({"out": X[:3]}, "out.size(0)=3: must be 4 (as scores)"),
    ({"out": X[:, :7]}, "out.size(1)=7: must be 8 (as scores)"),
    ({"out": torch.zeros(4, 16)[:, ::2]}, "out.stride(1)=2: must be 1"),
]


@pytest.mark.parametrize(("change", "message"), BAD, ids=[m for _, m in BAD])
def test_names_what_is_wrong(change, message):
    with pytest.raises(InvalidArgument, match=re.escape(message)) as caught:
        native.softmax_rows(**{"scores": X, "out": X.clone(), **change})
    assert str(caught.value).startswith("softmax_rows: ")


def test_opcheck():
    if not locate.enabled():
        pytest.skip("the twin is no op")
    out = torch.zeros(3, 8, dtype=torch.bfloat16)
    torch.library.opcheck(torch.ops.truetile.softmax_rows.default, (torch.randn(3, 8), out))
