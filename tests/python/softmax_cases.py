"""Scores, float64 references and bounds for softmax_rows, on any device."""

import torch
from layer_cases import HALF, TINY

LENGTHS = (1, 2, 3, 5, 31, 64, 1000, 4099)
VIEWS = ("dense", "odd", "wide")
# Roundings of terms that are added one after the other: the CUDA kernel rescales (an exponential to
# 2^-22 and a product) and adds once for 16384 columns, torch's on the CPU adds 8 or more abreast.
NATIVE, TWIN = 6 / 16384, 1 / 8


def matrix(rows, columns, dtype, device, how="dense"):
    """NaN-filled [rows, columns]: dense, off by one element in each row, or in a wider one."""
    spare = {"dense": 0, "odd": 3, "wide": 8}[how]
    big = torch.full((rows, columns + spare), torch.nan, dtype=dtype, device=device)
    start = 1 if how == "odd" else 0
    return big[:, start : start + columns]


def randn(rows, columns, device, how="dense", spread=3.0, seed=0):
    pick = torch.Generator().manual_seed(seed)
    values = torch.randn(rows, columns, generator=pick) * spread
    return matrix(rows, columns, torch.float32, device, how).copy_(values)


def assert_softmax(out, scores, per_column=NATIVE):
    """`out` is the softmax of `scores` rounded once, after float32 arithmetic.

    In parts of 2^-24: 9/4 of a score's distance from the maximum, which a difference, a product and
    the digits of log2(e) round; as much of the weighted mean of the distances, by the sum; for the
    terms added one after the other `per_column`; and 60 for two exponentials and three rescalings
    more, the tree of additions, the reciprocal and the last product, of which torch's exponentials
    on the CPU may take as much. Below 2^-126 not all digits are there.
    """
    x = scores.double()
    wanted, distance = x.softmax(-1), x.amax(-1, keepdim=True) - x
    mean = (wanted * distance).sum(-1, keepdim=True)
    relative = 2.0**-24 * (2.25 * (distance + mean) + per_column * scores.shape[1] + 60)
    allowed = (HALF[out.dtype] * 1.01 + relative) * wanted + TINY[out.dtype]
    assert ((out.double() - wanted).abs() <= allowed).all()


def check(
    op, rows, columns, dtype, device, views=("dense", "dense"), spread=3.0, per_column=NATIVE
):
    """What `op` writes, and that it writes nothing else."""
    scores = randn(rows, columns, device, views[0], spread)
    before = scores.clone()
    out = matrix(rows, columns, dtype, device, views[1])
    around = torch.as_strided(out, (out.untyped_storage().size() // out.itemsize,), (1,), 0)
    op(scores, out)
    assert torch.equal(scores, before)
    assert_softmax(out, scores, per_column)
    assert int(around.isnan().sum()) == len(around) - out.numel()


def check_in_place(op, rows, columns, device, view, per_column=NATIVE):
    scores = randn(rows, columns, device, view)
    before = scores.clone()
    op(scores, scores)
    assert_softmax(scores, before, per_column)


def check_special(op, dtype, device, columns):
    """A row of each kind: one that is finite must not notice its neighbours."""
    inf, nan = torch.inf, torch.nan
    scores = randn(7, columns, device)
    scores[1, columns // 2] = nan
    scores[2, -1] = inf
    scores[3] = -inf
    scores[4, : columns - 1] = -inf
    scores[5, 0] = -inf
    scores[6] = -inf
    scores[6, 0] = nan
    out = torch.empty(7, columns, dtype=dtype, device=device)
    op(scores, out)
    assert out.isnan().all(-1).tolist() == [False, True, True, True, False, False, True]
    assert out[4].tolist() == [0.0] * (columns - 1) + [1.0]
    assert out[5, 0] == 0
    assert_softmax(out[:1], scores[:1])
    assert_softmax(out[5:6, 1:], scores[5:6, 1:])
