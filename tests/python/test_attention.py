"""Attention of one head: products by blocks and torch's own against float64."""

import pytest
import torch
import torch.nn.functional as F
from live_bytes import LiveBytes
from torch.nn.attention import SDPBackend, sdpa_kernel

from truetile.engine.attention import attention_way, by_products, by_sdpa
from truetile.engine.attention_weights import merged_projections
from truetile.engine.exact_attention import Attention, attend_clip
from truetile.engine.exact_weights import Packed
from truetile.stream import AttentionWay, attention_bytes, attention_piece


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


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_the_cpu_has_fused_kernels_and_what_is_unknown_keeps_scores(dtype):
    assert attention_way("cpu", dtype) == AttentionWay.FUSED
    assert attention_way("mps", dtype) == AttentionWay.MATH


def test_a_gpu_that_is_not_nvidias_keeps_scores(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", None)
    assert attention_way.__wrapped__("cuda", torch.float32) == AttentionWay.MATH


def test_float16_is_left_to_torch(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert attention_way.__wrapped__("cuda", torch.float16) == AttentionWay.FUSED
    assert attention_way.__wrapped__("cuda", torch.float32) == AttentionWay.PRODUCTS


def counted(q, k, rows, way):
    """What the plan counts for one call, where keys, queries and the place of the result exist.

    Without what torch's allocator may leave of large blocks besides, which is up to chance.
    """
    channels, size = k.shape[1], k.element_size()
    whole = attention_bytes(len(k), rows, channels, size, way)
    undivided = 5 << 20 if k.nbytes > 1 << 20 else 0
    return whole - (len(k) + 2 * attention_piece(len(k), rows)) * channels * size - undivided


def test_what_torchs_allocator_leaves_of_large_blocks_is_counted():
    """Five blocks of more than a megabyte; a smaller value's are divided as they are needed."""
    sizes = [attention_bytes(tokens, 32, 128, 2, AttentionWay.FUSED) for tokens in (4096, 4097)]
    assert sizes[1] - sizes[0] == (5 << 20) + 128 * 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize(("tokens", "rows"), [(1024, 1024), (2048, 64), (4096, 256), (300, 7)])
@pytest.mark.parametrize("way", [AttentionWay.FUSED, AttentionWay.MATH], ids=str)
def test_memory_of_torchs_own_is_what_the_plan_counts(way, tokens, rows, dtype):
    q, k, v = (part.contiguous() for part in case(tokens, 96, dtype))
    out = torch.empty_like(q[:rows])
    fused = way == AttentionWay.FUSED
    backend = SDPBackend.FLASH_ATTENTION if fused else SDPBackend.MATH
    with sdpa_kernel(backend), LiveBytes() as live:
        by_sdpa(q[:rows], k, v, out, rows)
    allowed = counted(q, k, rows, way)
    # A fused kernel makes a result and its scratch, which is not a tensor here.
    least = rows * 96 * dtype.itemsize if fused else allowed // 2
    assert least <= live.peak <= allowed


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_torchs_own_keeps_no_scores_on_the_cpu(dtype):
    peaks = []
    for tokens in (512, 4096):
        q, k, v = (part.contiguous() for part in case(tokens, 96, dtype))
        with LiveBytes() as live:
            by_sdpa(q[:100], k, v, torch.empty_like(q[:100]), 100)
        peaks.append(live.peak)
    assert peaks[0] == peaks[1]


@pytest.mark.cuda
@pytest.mark.parametrize("spread", [0.5, 1.0, 2.0])
@pytest.mark.parametrize(
    ("tokens", "queries"), [(4096, 1024), (1000, 300), (2304, 2304), (16384, 256)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_products_round_weights_and_result_only_on_cuda(dtype, tokens, queries, spread):
    assert attention_way("cuda", dtype) == AttentionWay.PRODUCTS
    q, k, v = case(tokens, 512, dtype, "cuda", spread)
    q = q[:queries]
    wanted, _ = reference(q, k, v)
    assert ((called(by_products, q, k, v, rows=256) - wanted).abs() <= allowed(q, k, v)).all()


@pytest.mark.cuda
@pytest.mark.usefixtures("native_cuda")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_memory_is_what_the_plan_counts_on_cuda(dtype):
    q, k, v = case(4096, 512, dtype, "cuda")
    allowed = counted(q, k, 128, AttentionWay.PRODUCTS)
    assert taken_on_cuda(by_products, q[:512], k, v, 128) == allowed


@pytest.mark.cuda
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("channels", [384, 512, 640, 1024])
def test_memory_of_the_fused_kernel_is_what_the_plan_counts_on_cuda(channels, dtype):
    q, k, v = case(6240, channels, dtype, "cuda")
    allowed = counted(q, k, 1024, AttentionWay.FUSED)
    taken = taken_on_cuda(by_sdpa, q[:2048], k, v, 1024)
    # Some torch keeps a seed and an offset there.
    assert allowed <= taken <= allowed + 2 * 8


def taken_on_cuda(by, q, k, v, rows):
    out = torch.empty(q.shape, dtype=q.dtype, device="cuda")
    by(q, k, v, out, rows)  # libraries take their workspaces once
    torch.cuda.synchronize()
    # What was asked for: blocks may be up to 1 MiB larger, if such are at hand.
    before = torch.cuda.memory_stats()["requested_bytes.all.current"]
    torch.cuda.reset_peak_memory_stats()
    by(q, k, v, out, rows)
    return torch.cuda.memory_stats()["requested_bytes.all.peak"] - before


@pytest.mark.parametrize("way", list(AttentionWay.__members__.values()), ids=str)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("biased", [False, True])
def test_two_projections_do_what_four_did(way, causal, biased):
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
    attend_clip(out, x.float(), weights, Attention(7, way, causal))
    # Scores of about 16 here; the rest is a few sums of 60 terms in float32.
    assert (out - want).abs().max() <= 1e-4 * want.abs().max()
