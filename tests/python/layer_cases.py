"""Inputs, float64 references and bounds for the layer ops, on any device."""

import itertools

import torch
import torch.nn.functional as F

FLOATS = (torch.float32, torch.float16, torch.bfloat16)
CHANNELS = (1, 3, 16, 96, 100, 128, 192, 384, 512, 768, 1024, 2056)
NORMS = ("copy", "silu", "rms", "rms silu", "rms shift", "affine", "affine silu", "frames silu")
PADS = (
    {},
    {"top": 1, "bottom": 2, "left": 1, "right": 3},
    {"left": 1, "right": 1},
    {"top": 1, "bottom": 1, "left": 1, "right": 1, "cut": (1, 1)},
    {"bottom": 4, "cut": (1, 3)},
)
# Of the float32 arithmetic, relative to the size of the terms: a sum of up to 64 squares in a row
# and the tree over lanes (36 * 2^-24 after the root), a dozen single roundings, and for 16-bit
# types an exponential good to |y| * 2^-23, with y * sigmoid'(y) below 0.4.
_ARITHMETIC = 4e-6
HALF = {torch.float32: 2.0**-24, torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8}
TINY = {torch.float32: 1e-37, torch.float16: 2.0**-25, torch.bfloat16: 1e-37}


def randn(size, dtype, device, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(size, generator=generator) * 2).to(device, dtype)


def view(size, dtype, device, how):
    """NaN-filled memory [t, h, w, C]: contiguous, cropped, off by one element, or interleaved."""
    t, h, w, c = size
    if how == "contiguous":
        return torch.full(size, torch.nan, dtype=dtype, device=device)
    if how == "cropped":
        big = torch.full((t, h + 1, w + 2, c), torch.nan, dtype=dtype, device=device)
        return big[:, 1:, 1:-1]
    if how == "odd":
        big = torch.full((t, h, w, c + 3), torch.nan, dtype=dtype, device=device)
        return big[..., 1 : 1 + c]
    big = torch.full((2 * t, 2 * h, 2 * w, 2 * c), torch.nan, dtype=dtype, device=device)
    return big[1::2, ::2, 1::2, :c]


def assert_within(got, wanted, terms):
    """`got` is `wanted` (float64) rounded once, after float32 arithmetic on `terms`."""
    allowed = HALF[got.dtype] * 1.01 * wanted.abs() + _ARITHMETIC * terms + TINY[got.dtype]
    assert ((got.double() - wanted).abs() <= allowed).all()


def _by_frame(vector):
    """A vector [C] or [t, C] in float64, so that it broadcasts over [t, h, w, C]."""
    vector = vector.double()
    return vector if vector.dim() == 1 else vector[:, None, None]


class NormPad:
    """One call of norm_pad and what it must give."""

    def __init__(self, size, dtype, device, norm, pad, views=("contiguous", "contiguous"), seed=0):
        t, h, w, c = size
        pad = {"top": 0, "bottom": 0, "left": 0, "right": 0, **pad}
        cut = pad.pop("cut", (0, 0))
        self.x = view(size, dtype, device, views[0]).copy_(randn(size, dtype, device, seed))
        self.rows, self.columns = h - cut[0], w - cut[1]
        padded = (self.rows + pad["top"] + pad["bottom"], self.columns + pad["left"] + pad["right"])
        self.out = view((t, *padded, c), dtype, device, views[1])
        affine = (t, c) if "frames" in norm else (c,)
        named = any(word in norm for word in ("rms", "affine", "frames"))
        shifted = any(word in norm for word in ("shift", "affine", "frames"))
        self.scale = randn(affine, torch.float32, device, seed + 1) if named else None
        self.shift = randn(affine, torch.float32, device, seed + 2) if shifted else None
        self.options = {"rms": "rms" in norm, "silu": "silu" in norm, **pad}

    def run(self, op):
        op(self.x, self.out, self.scale, self.shift, **self.options)

    def check(self):
        y = self.x.double()
        o = self.options
        if o["rms"]:
            length = y.norm(dim=-1, keepdim=True).clamp_min(1e-12)
            y = y / length * y.shape[-1] ** 0.5
        if self.scale is not None:
            y = y * _by_frame(self.scale)
        terms = y.abs()
        if self.shift is not None:
            shift = _by_frame(self.shift)
            y, terms = y + shift, terms + shift.abs()
        if o["silu"]:
            y = F.silu(y)
        if self.scale is None and not o["silu"]:
            terms = torch.zeros_like(terms)
        y, terms = (self._padded(v) for v in (y, terms))
        assert_within(self.out, y, terms)
        border = torch.ones(self.out.shape[1:3], dtype=torch.bool, device=self.out.device)
        border[o["top"] : o["top"] + self.rows, o["left"] : o["left"] + self.columns] = False
        assert (self.out[:, border] == 0).all()

    def _padded(self, v):
        o = self.options
        v = v[:, : self.rows, : self.columns]
        return F.pad(v, (0, 0, o["left"], o["right"], o["top"], o["bottom"]))


VIEWS = ("contiguous", "cropped", "odd", "interleaved")
VIEW_PAIRS = tuple(itertools.product(VIEWS, VIEWS))


def check_merge(op, size, dtype, device, bias, residual, views=("contiguous",) * 3, in_place=None):
    """bias: None, "own" or "float32"; in_place: None, "y" or "residual" for the memory of out."""
    y = view(size, dtype, device, views[0]).copy_(randn(size, dtype, device, 1))
    r = view(size, dtype, device, views[1]).copy_(randn(size, dtype, device, 2))
    r = r if residual else None
    kind = torch.float32 if bias == "float32" else dtype
    b = randn(size[3:], kind, device, 3) if bias else None
    parts = [v.double() for v in (y, b, r) if v is not None]
    out = {None: view(size, dtype, device, views[2]), "y": y, "residual": r}[in_place]
    op(y, b, r, out)
    assert_within(out, sum(parts), sum(part.abs() for part in parts))


BITS = {torch.float32: torch.int32, torch.float16: torch.int16, torch.bfloat16: torch.int16}


def assert_same_bits(got, wanted):
    assert torch.equal(got.view(BITS[got.dtype]), wanted.view(BITS[wanted.dtype]))


def every_bit_pattern(dtype, device):
    """All values of a 16-bit type, NaN payloads too; of float32 some of each kind."""
    if dtype == torch.float32:
        bits = torch.tensor([0, 1, 0x7F800000, 0x7F800001, 0x7FABCDEF, 0x3F800000])
        return torch.cat([bits, bits - 2**31]).to(torch.int32).to(device).view(dtype)
    return torch.arange(-(2**15), 2**15).to(torch.int16).to(device).view(dtype)


def check_copy(op, dtype, device, channels, views):
    """merge without bias and residual."""
    values = every_bit_pattern(dtype, device)
    rows = -(-len(values) // (7 * channels * 2))
    size = (2, rows, 7, channels)
    count = rows * 14 * channels
    y = view(size, dtype, device, views[0])
    y.copy_(values.repeat(-(-count // len(values)))[:count].view(size))
    out = view(size, dtype, device, views[1])
    op(y, None, None, out)
    assert_same_bits(out, y)


def check_merge_norm_pad(
    ops,
    size,
    dtype,
    device,
    norm,
    pad,
    fresh,
    *,
    bias="own",
    residual=True,
    views=("contiguous",) * 4,
    in_place=False,
):
    """`ops.merge_norm_pad` gives bit for bit what `ops.merge` and `ops.norm_pad` do.

    `size` is that of the window; in_place: its new rows are the memory of the residual, or of y.
    """
    t, h, w, c = size
    new = (t, h - fresh, w, c)
    kind = torch.float32 if bias == "float32" else dtype
    b = randn((c,), kind, device, 4) if bias else None
    y, r = (
        view(new, dtype, device, how).copy_(randn(new, dtype, device, seed))
        for how, seed in zip(views, (5, 6), strict=False)
    )
    made = []
    for fused in (True, False):
        case = NormPad(size, dtype, device, norm, pad, views[2:])
        window = case.x
        window[:, fresh:] = torch.nan
        added, source = r, y
        if in_place and residual:
            added = window[:, fresh:].copy_(r)
        elif in_place:
            source = window[:, fresh:].copy_(y)
        added = added if residual else None
        if fused:
            head = (source, b, added, window, fresh, case.out, case.scale, case.shift)
            ops.merge_norm_pad(*head, **case.options)
        else:
            ops.merge(source, b, added, window[:, fresh:])
            case.run(ops.norm_pad)
        made.append((window, case.out))
    for got, wanted in zip(*made, strict=True):
        assert_same_bits(got, wanted)
    assert not made[0][0].isnan().any()


def check_merge_norm_pad_alone(ops, size, dtype, device, norm, pad, out_view="contiguous"):
    """With the interior of `out` as window the norm is the same, bit for bit."""
    t, _, _, c = size
    case = NormPad(size, dtype, device, norm, pad, ("contiguous", out_view))
    y, r = (randn((t, case.rows, case.columns, c), dtype, device, seed) for seed in (5, 6))
    b = randn((c,), torch.float32, device, 4)
    affine = (case.scale, case.shift)
    ops.merge_norm_pad(y, b, r, torch.empty_like(y), 0, case.out, *affine, **case.options)
    out = view(tuple(case.out.shape), dtype, device, out_view).fill_(torch.nan)
    top, left = case.options["top"], case.options["left"]
    inner = out[:, top : top + case.rows, left : left + case.columns]
    ops.merge_norm_pad(y, b, r, inner, 0, out, *affine, **case.options)
    assert_same_bits(out, case.out)
