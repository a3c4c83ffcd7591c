"""Who watches a decode hears its plan and sees the finished part of the picture, no other pixel."""

from __future__ import annotations

import pytest
import torch
from toy_vaes import LATENT_CHANNELS, PixelVae

import truetile
from truetile.engine import partial, selftest
from truetile.engine.output import HostBatch
from truetile.engine.partial import PartialPicture

SIZE = 100


class Watcher:
    """Looks at the picture after each tile, and keeps what the whole result held then."""

    def __init__(self) -> None:
        self.plan = self.why = None
        self.result: HostBatch | None = None
        self.looks: list[torch.Tensor | None] = []

    def begun(self, plan, why, picture) -> None:
        self.plan, self.why, self.result = plan, why, picture
        if picture is not None:
            picture.tensor.fill_(float("nan"))  # nobody may show what was never written
            self.picture = PartialPicture(picture, SIZE)

    def progress(self, done: int, total: int) -> None:
        if self.result is not None:
            self.looks.append(self.picture.look())


def small(frame: torch.Tensor) -> torch.Tensor:
    """A finished frame [H, W, 3] as the preview has it."""
    step = -(-max(frame.shape[:2]) // SIZE)
    return (frame[::step, ::step] * 255).to(torch.uint8)


def tiled(watcher: Watcher, latent: torch.Tensor, **changes) -> tuple[torch.Tensor, object]:
    options = {"mode": "blended", "tile_size": 64, "overlap": 16} | changes
    return truetile.decode(
        PixelVae().port(), latent, observer=watcher, progress=watcher.progress, **options
    )


@pytest.fixture
def latent() -> torch.Tensor:
    return torch.rand(2, LATENT_CHANNELS, 30, 23, generator=torch.Generator().manual_seed(0))


def test_what_is_shown_is_the_result_or_nothing(latent):
    watcher = Watcher()
    pixels, _ = tiled(watcher, latent)
    looks = [look for look in watcher.looks if look is not None]
    assert len(looks) > 10
    for item in range(2):
        whole = small(pixels[item])
        shares = []
        for look in looks[len(looks) // 2 * item : len(looks) // 2 * (item + 1)]:
            assert look.shape == whole.shape
            shown = (look == whole).all(-1)
            assert (shown | (look == partial._EMPTY).all(-1)).all()
            shares.append(shown.float().mean().item())
        assert shares == sorted(shares), "what was shown stays"
        assert shares[0] < 0.2
        assert shares[-1] == 1.0
    assert torch.equal(watcher.picture.last(), small(pixels[1]))


def test_nothing_new_is_nothing_to_show(latent):
    watcher = Watcher()
    tiled(watcher, latent)
    assert watcher.picture.look() is None


def test_the_plan_is_the_reports_and_follows_a_fall(latent):
    watcher, told = Watcher(), []
    pixels = PixelVae()

    def decode(tile: torch.Tensor) -> torch.Tensor:
        told.append(watcher.plan())
        if tile.shape[-1] > 8:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return pixels.decode(tile)

    _, report = truetile.decode(pixels.port(decode=decode), latent, observer=watcher)
    assert told[0] == "untiled"
    assert told[-1] != told[0]
    assert told[-1] in report.plan
    assert watcher.why in report.why


def test_an_encode_has_a_plan_and_no_picture():
    watcher = Watcher()
    pixels = torch.rand(1, 64, 48, 3, generator=torch.Generator().manual_seed(0))
    _, report = truetile.encode(PixelVae().port(), pixels, observer=watcher, mode="untiled")
    assert watcher.result is None
    assert watcher.plan() == report.plan == "untiled"


def test_numbers_that_are_no_picture_yet_are_not_shown(latent):
    watcher = Watcher()
    port = PixelVae().port(finish=lambda raw: raw.sigmoid())
    truetile.decode(port, latent, observer=watcher, mode="untiled")
    assert watcher.result is None


@pytest.fixture
def wan():
    diffusers = pytest.importorskip("diffusers")
    selftest.forget()
    torch.manual_seed(0)
    yield diffusers.AutoencoderKLWan(base_dim=8, num_res_blocks=1, z_dim=4).eval()
    selftest.forget()


def test_strips_of_an_exact_decode_show_as_they_come(wan):
    watcher = Watcher()
    latent = torch.randn(1, 4, 3, 24, 10, generator=torch.Generator().manual_seed(0))
    budget = 16 * 2**20
    pixels, report = truetile.decode(
        wan, latent, mode="exact", budget=budget, observer=watcher, progress=watcher.progress
    )
    assert report.tiles > 4
    assert watcher.plan() == report.plan
    frames = [small(frame) for frame in pixels[0]]
    for look in (look for look in watcher.looks if look is not None):
        shown = [((look == f).all(-1) | (look == partial._EMPTY).all(-1)).all() for f in frames]
        assert any(shown), "one frame, and only what is written of it"
    assert torch.equal(watcher.picture.last(), frames[-1])


@pytest.mark.cuda
def test_on_a_device_only_what_has_surely_been_written_is_shown(latent):
    """The kernels write pinned memory by themselves: a look must not be faster than they are."""
    device = torch.device("cuda")
    batch = HostBatch(
        1, 3, (1, 64, 64), dtype=torch.float32, device=device, channels_last=False, pin=True
    )
    assert batch.written_by_device
    batch.tensor.fill_(0.25)  # what lies there before
    picture, item = PartialPicture(batch, SIZE), batch.item(0)
    source = torch.ones(3, 1, 64, 64, device=device)
    torch.cuda._sleep(1)  # once, for a kernel's first launch may wait for all others
    torch.cuda.synchronize()
    torch.cuda._sleep(10**9)
    target = item.target((0, 0, 0), (1, 64, 64))
    target.copy_(source, non_blocking=True)
    item.commit((0, 0, 0), (1, 64, 64), target)
    assert picture.look() is None
    assert picture.look() is None, "the device still sleeps"
    torch.cuda.synchronize()
    assert (picture.look() == 255).all()
