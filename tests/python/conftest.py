"""Fixtures and rules that every test file shares."""

import os

import pytest


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip `cuda` tests with the reason; FAIL_WITHOUT_CUDA=1, for GPU runners, fails them."""
    if item.get_closest_marker("cuda") is None:
        return
    import torch

    if torch.cuda.is_available():
        return
    reason = f"no CUDA device: torch {torch.__version__} sees none"
    if os.environ.get("FAIL_WITHOUT_CUDA") == "1":
        pytest.fail(f"FAIL_WITHOUT_CUDA=1 and {reason}", pytrace=False)
    pytest.skip(reason)


def _served_by(which: str):
    """Within it ops on the CPU run by the library, which must serve, or by their twins."""
    from truetile import native
    from truetile.native import locate

    if which == "twin":
        with locate.without_native():
            yield which
        return
    if not locate.enabled():
        pytest.skip("TRUETILE_NATIVE=0")
    assert native.why_twin("cpu") is None
    yield which


@pytest.fixture(params=["native", "twin"], scope="module")
def native_or_twin(request):
    """All tests of a file by the library, and again by the twins; says which."""
    yield from _served_by(request.param)


@pytest.fixture(params=["native", "twin"])
def which(request):
    """The same for single tests, beside others that say themselves what serves."""
    yield from _served_by(request.param)


@pytest.fixture
def native_cuda():
    """The native CUDA library serves, and did so in every call: a silent twin proves nothing."""
    from truetile import native
    from truetile.native import locate

    if not locate.enabled():
        pytest.skip("TRUETILE_NATIVE=0")
    assert native.why_twin("cuda") is None
    before = native.status()["calls"]
    yield
    now = native.status()["calls"]
    twins = [key for key, n in now.items() if "twin" in key and n > before.get(key, 0)]
    assert not [key for key in twins if "pageable" not in key]


@pytest.fixture
def fresh_selftest():
    """The exact engine tests itself anew, before and after."""
    from truetile.engine import selftest

    selftest.forget()
    yield
    selftest.forget()


@pytest.fixture
def full_float32():
    """TF32 rounds a factor to 10 bits: no sum of those is within 1e-4."""
    import torch

    flags = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = flags


@pytest.fixture
def kept(monkeypatch, fresh_selftest):
    """Calls on the CPU keep their weights in it, too."""
    from truetile.engine import exact_request
    from truetile.engine.kept_weights import KeptWeights

    made = KeptWeights(types=("cpu",))
    monkeypatch.setattr(exact_request, "KEPT", made)
    return made


@pytest.fixture
def packings(monkeypatch, kept) -> list:
    """The arguments of each packing: one more for each call that packed."""
    from truetile.engine import exact_request
    from truetile.engine.exact_weights import pack

    calls = []

    def counted(*args):
        calls.append(args)
        return pack(*args)

    monkeypatch.setattr(exact_request, "pack", counted)
    return calls
