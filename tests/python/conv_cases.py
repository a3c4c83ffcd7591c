"""Inputs, float64 references and bounds for conv_few_outputs, on any device."""

import itertools

import torch
from layer_cases import HALF, TINY, randn, view

# A product of 16-bit factors is exact in float32, and each of a sum is rounded away once or twice:
# the tensor cores of a GPU cut off instead of rounding, in parts of 2^-23 of the largest summand.
_SUM = 2.0**-23
VIEWS = ("contiguous", "cropped", "odd", "interleaved")


def reference(x, weight):
    """The convolution in float64, and the same of absolute values."""
    outputs, taps_t = weight.shape[:2]
    t, h, w = x.shape[0] - taps_t + 1, x.shape[1] - 2, x.shape[2] - 2
    x, weight = x.double(), weight.double()
    made = x.new_zeros(t, h, w, outputs)
    terms = torch.zeros_like(made)
    for a, b, c in itertools.product(range(taps_t), range(3), range(3)):
        part, factor = x[a : a + t, b : b + h, c : c + w], weight[:, a, b, c].T
        made += part @ factor
        terms += part.abs() @ factor.abs()
    return made, terms


def assert_convolution(out, x, weight):
    """`out` is the convolution rounded once, after float32 arithmetic."""
    wanted, terms = reference(x, weight)
    count = weight[0].numel()
    allowed = HALF[out.dtype] * 1.01 * wanted.abs() + count * _SUM * terms + TINY[out.dtype]
    assert ((out.double() - wanted).abs() <= allowed).all()


def case(size, outputs, taps_t, dtype, device, views=("contiguous", "contiguous"), seed=0):
    """x, weight and a NaN-filled out; `size` is (t, h, w) of out, and the channels of x."""
    t, h, w, channels = size
    padded = (t + taps_t - 1, h + 2, w + 2, channels)
    x = view(padded, dtype, device, views[0]).copy_(randn(padded, dtype, device, seed))
    weight = randn((outputs, taps_t, 3, 3, channels), dtype, device, seed + 1)
    return x, weight, view((t, h, w, outputs), dtype, device, views[1])


def check(op, size, outputs, taps_t, dtype, device, views=("contiguous", "contiguous"), seed=0):
    """What `op` writes, and that it writes nothing else."""
    x, weight, out = case(size, outputs, taps_t, dtype, device, views, seed)
    before = x.clone(), weight.clone()
    storage = out.untyped_storage().size() // out.itemsize
    around = torch.as_strided(out, (storage,), (1,), 0)
    op(x, weight, out)
    assert torch.equal(x, before[0]) and torch.equal(weight, before[1])
    assert_convolution(out, x, weight)
    assert int(around.isnan().sum()) == storage - out.numel()


def check_nan(op, dtype, device, channels=32):
    """A NaN and an infinity are seen by whom they touch, and by nobody else."""
    size = (3, 9, 70, channels)
    x, weight, out = case(size, 3, 3, dtype, device)
    clean = torch.empty_like(out)
    op(x, weight, clean)
    x[2, 4, 63, channels - 1] = torch.nan
    x[0, 0, 0, 0] = torch.inf
    op(x, weight, out)
    touched = torch.zeros(3, 9, 70, dtype=torch.bool, device=device)
    touched[0:3, 2:5, 61:64] = True
    touched[0, 0, 0] = True
    assert not out[touched].isfinite().any()
    assert torch.equal(out[~touched], clean[~touched])
    assert out[0, 2, 61].isnan().all()
