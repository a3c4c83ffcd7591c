"""What the ops refuse, and how they choose between native and twin."""

import re

import pytest
import torch

from truetile import native
from truetile.errors import InvalidArgument
from truetile.native import dispatch, locate


def _good():
    return {
        "block": torch.zeros(3, 2, 8, 8),
        "out": torch.zeros(3, 4, 16, 16),
        "line_x": torch.zeros(3, 4, 8, 2),
        "line_y": torch.zeros(3, 4, 3, 16),
        "line_t": torch.zeros(3, 1, 8, 8),
        "use": [2, 8, 8],
        "lead": [1, 3, 2],
        "tail": [0, 2, 1],
        "offset": [0, 0, 0],
        "origin": [2, 8, 8],
        "out_origin": [2, 8, 8],
    }


BAD = {
    "rank of block": ({"block": torch.zeros(3, 8, 8)}, "block.dim()=3: must be 4"),
    "dtype of block": (
        {"block": torch.zeros(3, 2, 8, 8, dtype=torch.float64)},
        "must be one of float32, float16, bfloat16",
    ),
    "dtype of out": (
        {"out": torch.zeros(3, 4, 16, 16, dtype=torch.int64)},
        "must be one of float32, float16, bfloat16",
    ),
    "channels": ({"out": torch.zeros(1, 4, 16, 16)}, "out.size(0)=1: must be 3"),
    "short triple": ({"use": [8, 8]}, "len(use)=2: must be 3 (t, y, x)"),
    "negative use": ({"use": [2, -1, 8]}, "use[1]=-1: must be >= 0"),
    "tail": ({"tail": [0, 9, 1]}, "tail[1]=9: must be in [0, 8] (use=8)"),
    "zones meet": ({"lead": [1, 3, 8]}, "lead[2]=8: must be in [0, 7] (use=8, tail=1)"),
    "box outside": ({"offset": [0, 1, 0]}, "offset[1]=1: must be in [0, 0] (use=8, block=8)"),
    "origin": ({"origin": [-1, 8, 8]}, "origin[0]=-1: must be >= 0"),
    "outside of out": (
        {"out_origin": [2, 8, 10]},
        "out_origin[2]=10: must be in [0, 9] (out=16, offset=0, final=7)",
    ),
    "line_x short": ({"line_x": torch.zeros(3, 4, 7, 2)}, "line_x.size(2)=7: must be >= 8"),
    "line_y channels": ({"line_y": torch.zeros(2, 4, 3, 16)}, "line_y.size(0)=2: must be 3"),
    "line_t empty": ({"line_t": torch.zeros(0)}, "line_t.dim()=1: must be 4"),
    "line_x dtype": (
        {"line_x": torch.zeros(3, 4, 8, 2, dtype=torch.float16)},
        "must be one of float32",
    ),
    "line_y strides": (
        {"line_y": torch.zeros(3, 4, 16, 3).transpose(2, 3)},
        "line_y.stride()=[192, 48, 1, 3]: must be contiguous",
    ),
    "clamp": ({"lo": 1.0, "hi": 0.0}, "lo=1: must be <= hi=0"),
    "clamp nan": ({"lo": float("nan")}, "lo=nan: must be <= hi=inf"),
}


@pytest.mark.parametrize("case", BAD)
def test_blend_tile_names_what_is_wrong(which, case):
    change, message = BAD[case]
    with pytest.raises(InvalidArgument, match=re.escape(message)) as caught:
        native.blend_tile(**{**_good(), **change})
    assert str(caught.value).startswith("blend_tile: ")
    assert "\n" not in str(caught.value)


def test_the_good_case_is_good(which):
    native.blend_tile(**_good())


@pytest.mark.parametrize(
    ("x", "counts", "message"),
    [
        (torch.zeros(2, dtype=torch.int32), torch.zeros(2, dtype=torch.int64), "must be one of"),
        (torch.zeros(2), torch.zeros(2), "must be one of int64"),
        (torch.zeros(2), torch.zeros(3, dtype=torch.int64), "counts.size(0)=3: must be 2"),
        (torch.zeros(2), torch.zeros(1, 2, dtype=torch.int64), "counts.dim()=2: must be 1"),
        (torch.zeros(2), torch.zeros(4, dtype=torch.int64)[::2], "counts.stride(0)=2: must be 1"),
    ],
)
def test_count_nonfinite_names_what_is_wrong(which, x, counts, message):
    with pytest.raises(InvalidArgument, match=re.escape(message)):
        native.count_nonfinite(x, counts)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("layout", ["contiguous", "channels_last", "cropped", "expanded", "empty"])
def test_counts_add_up(which, dtype, layout):
    x = torch.randn(2, 3, 37, 41)
    x[0, 0, ::5] = torch.nan
    x[1, :, :, 7] = torch.inf
    x[1, 2, 3] = -torch.inf
    x = x.to(dtype)
    if layout == "channels_last":
        x = x.to(memory_format=torch.channels_last)
    elif layout == "cropped":
        x = x[:, 1:, 3:-2, 5:40:3]
    elif layout == "expanded":
        x = x[:, :, :1].expand(2, 3, 9, 41)
    elif layout == "empty":
        x = x[:, :0]
    counts = torch.tensor([10, 20])
    native.count_nonfinite(x, counts)
    assert counts.tolist() == [10 + int(x.isnan().sum()), 20 + int(x.isinf().sum())]


def test_a_scalar_and_a_huge_value_count_right(which):
    counts = torch.zeros(2, dtype=torch.int64)
    native.count_nonfinite(torch.tensor(torch.nan), counts)
    native.count_nonfinite(torch.full((5,), 3.4e38), counts)
    native.count_nonfinite(torch.full((5,), 65504.0, dtype=torch.float16), counts)
    assert counts.tolist() == [1, 0]


def test_each_call_is_counted_with_its_reason(which):
    key = "blend_tile: native"
    if which == "twin":
        key = "blend_tile: twin (switched off by TRUETILE_NATIVE=0)"
    before = native.status()["calls"].get(key, 0)
    native.blend_tile(**_good())
    assert native.status()["calls"][key] == before + 1


def test_status_says_why_a_library_does_not_serve(which):
    status = native.status()
    for name in ("truetile_ops", "truetile_ops_cuda"):
        assert status[name]["available"] == (status[name]["reason"] is None)
    if which == "twin":
        assert status["truetile_ops"]["reason"] == "switched off by TRUETILE_NATIVE=0"
    elif torch.version.cuda is None:
        assert "without CUDA" in status["truetile_ops_cuda"]["reason"]


@pytest.fixture
def allowed():
    """Other reasons than the environment's are told only where native ops are allowed."""
    if not locate.enabled():
        pytest.skip("TRUETILE_NATIVE=0")


@pytest.fixture
def fresh_loader(monkeypatch):
    dispatch._load.cache_clear()
    yield monkeypatch
    monkeypatch.undo()
    dispatch._load.cache_clear()


def test_an_old_torch_is_a_reason(allowed, fresh_loader):
    fresh_loader.setattr(torch, "__version__", "2.9.1+cu128")
    assert native.why_twin("cpu") == "torch 2.9.1+cu128: the op libraries need 2.10 or newer"


def test_a_missing_library_is_a_reason(allowed, fresh_loader):
    fresh_loader.setattr(locate, "folders", list)
    assert native.why_twin("cpu") == "truetile_ops not found in "
    assert native.why_twin("cuda").startswith("needs truetile_ops: ")


def test_a_broken_library_is_a_reason(allowed, fresh_loader, tmp_path):
    (tmp_path / "libtruetile_ops.so").write_bytes(b"not a library")
    fresh_loader.setenv("TRUETILE_LIB_DIR", str(tmp_path))
    fresh_loader.setattr(dispatch, "_has_kernel", lambda *_: False)
    assert "cannot be loaded" in native.why_twin("cpu")


def test_a_cuda_library_that_cannot_run_here_is_a_reason(fresh_loader, tmp_path):
    """A driver older than its CUDA, or a GPU that it holds no code for: every launch would fail."""

    class Library:
        def __init__(self, path):
            self.truetile_ops_version = lambda: dispatch.BUILD.encode()
            self.truetile_ops_unusable = lambda: b"CUDA driver version is insufficient"

    path = tmp_path / "libtruetile_ops_cuda.so"
    path.touch()
    fresh_loader.setattr(dispatch, "_load", lambda device: None)  # the CPU library serves
    fresh_loader.setattr(torch.version, "cuda", "13.0")
    fresh_loader.setattr(locate, "library", lambda name: path)
    fresh_loader.setattr(torch.ops, "load_library", lambda path: None)
    fresh_loader.setattr(dispatch.ctypes, "CDLL", Library)
    fresh_loader.setattr(dispatch, "_has_kernel", lambda *_: False)
    with pytest.raises(dispatch._UnavailableError) as why:
        dispatch._load_or_raise("cuda")
    assert str(why.value) == f"{path} cannot run here: CUDA driver version is insufficient"


def test_other_devices_are_served_by_the_twin(allowed):
    assert native.why_twin("mps") == "device type mps: native ops serve cpu and cuda"
