"""Attention of one head: products by blocks and torch's own against float64."""

import pytest
import torch
import torch.nn.functional as F

from truetile.engine.attention import by_products, by_sdpa, products_serve
from truetile.engine.attention_weights import merged_projections
from truetile.engine.exact_attention import Attention, attend_clip
from truetile.engine.exact_weights import Packed


def case(tokens, channels, dtype=torch.float32, device="cpu", spread=1.0, seed=0):
    """q, k, v as the thirds of one product."""
    pick = torch.Generator().manual_seed(seed)
    qkv = torch.randn(tokens, 3 * channels, generator=pick) * spread
    return qkv.to(device=device, dtype=dtype).chunk(3, dim=-1)


def called(by, q, k, v, rows=64):
    out = torch.full_like(q, torch.nan)
    by(q, k, v, out, rows)
    return out


def reference(q, k, v):
    """In float64: the result, and the weighted mean of |v|."""
    q, k, v = (x.double() for x in (q, k, v))
    weights = (q @ k.t() * q.shape[1] ** -0.5).softmax(-1)
    return weights @ v, weights @ v.abs()


def allowed(q, k, v):
    """How far a result may be off.

    Float32: of the scores, whose exponentials are as far off relatively, of the softmax and of a
    sum over all tokens. A score's distance from the largest, up to twice `scores`, loses 9/4 u of
    itself: as a difference, and as a multiple of log2(e). A coarser dtype rounds the weights, and
    the result.
    """
    u, (tokens, channels) = 2**-24, (len(k), k.shape[1])
    scores = (q.double().abs() @ k.double().abs().t()).amax(-1, keepdim=True) * channels**-0.5
    wanted, size = reference(q, k, v)
    off = (2 * (channels + 7) * u * scores + 2 * (tokens + 8) * u) * size
    if q.dtype != torch.float32:
        coarse = torch.finfo(q.dtype).eps / 2
        off = off * (1 + coarse) + coarse * size * (1 + coarse) + coarse * wanted.abs()
    return off


@pytest.mark.parametrize("by", [by_products, by_sdpa])
@pytest.mark.parametrize(("tokens", "queries"), [(1, 1), (200, 200), (200, 64), (97, 13), (50, 1)])
def test_equals_the_formula(by, tokens, queries):
    q, k, v = case(tokens, 64)
    q = q[:queries]
    assert ((called(by, q, k, v) - reference(q, k, v)[0]).abs() <= allowed(q, k, v)).all()


@pytest.mark.parametrize("by", [by_products, by_sdpa])
def test_scores_of_thousands_do_not_overflow(by):
    q, k, v = case(80, 32, spread=40.0)
    assert (q @ k.t() * 32**-0.5).max() > 2000
    assert ((called(by, q, k, v) - reference(q, k, v)[0]).abs() <= allowed(q, k, v)).all()


def test_products_are_not_for_the_cpu():
    assert not products_serve("cpu", torch.float32)
    assert not products_serve("mps", torch.bfloat16)


def test_float16_is_left_to_torch():
    assert not products_serve("cuda", torch.float16)


@pytest.mark.cuda
@pytest.mark.parametrize("spread", [0.5, 1.0, 2.0])
@pytest.mark.parametrize(
    ("tokens", "queries"), [(4096, 1024), (1000, 300), (2304, 2304), (16384, 256)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_products_round_weights_and_result_only_on_cuda(dtype, tokens, queries, spread):
    assert products_serve("cuda", dtype)
    q, k, v = case(tokens, 512, dtype, "cuda", spread)
    q = q[:queries]
    wanted, _ = reference(q, k, v)
    assert ((called(by_products, q, k, v, rows=256) - wanted).abs() <= allowed(q, k, v)).all()


@pytest.mark.cuda
@pytest.mark.usefixtures("native_cuda")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_memory_is_what_the_plan_counts_on_cuda(dtype):
    tokens, queries = 4096, 512
    q, k, v = case(tokens, 512, dtype, "cuda")
    out = torch.empty(queries, 512, dtype=dtype, device="cuda")
    by_products(q[:queries], k, v, out, 128)  # cuBLAS takes its workspace once
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    by_products(q[:queries], k, v, out, 128)
    scores = 128 * tokens
    buffers = 4 * scores + (0 if dtype == torch.float32 else dtype.itemsize * scores)
    assert torch.cuda.max_memory_allocated() - before == buffers


@pytest.mark.parametrize("products", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("biased", [False, True])
def test_two_projections_do_what_four_did(products, causal, biased):
    pick = torch.Generator().manual_seed(1)
    t, h, w, c = 3, 4, 5, 16
    x, qkv, proj, gamma = (
        torch.randn(*size, generator=pick, dtype=torch.float64)
        for size in ((t, h, w, c), (3 * c, c), (c, c), (c,))
    )
    biases = [torch.randn(n, generator=pick, dtype=torch.float64) if biased else None
              for n in (3 * c, c)]  # fmt: skip
    normed = F.normalize(x, dim=-1) * c**0.5 * gamma
    q, k, v = F.linear(normed, qkv, biases[0]).reshape(-1, 3 * c).chunk(3, dim=-1)
    frame = torch.arange(t).repeat_interleave(h * w)
    seen = frame[:, None] >= frame if causal else torch.ones(t * h * w, t * h * w).bool()
    made = F.scaled_dot_product_attention(q[None], k[None], v[None], attn_mask=seen)[0]
    want = x + F.linear(made, proj, biases[1]).view(x.shape)
    merged = merged_projections(qkv, biases[0], proj, biases[1])
    merged = [None if one is None else one.float() for one in merged]
    weights = Packed(merged[0], merged[1], gamma.float(), None, merged[2], merged[3])
    out = torch.full_like(x, torch.nan, dtype=torch.float32)
    attend_clip(out, x.float(), weights, Attention(7, products, causal))
    # Scores of about 16 here; the rest is a few sums of 60 terms in float32.
    assert (out - want).abs().max() <= 1e-4 * want.abs().max()
