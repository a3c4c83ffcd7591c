"""The demo from end to end on a toy, and its pictures, page and processes one by one."""

from __future__ import annotations

import io
import json
import multiprocessing
import re
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from truetile import cli
from truetile.commands import CommandFailed
from truetile.demo import bench, media, pictures
from truetile.demo.chart import frame_chart
from truetile.demo.metrics import Borders
from truetile.demo.port import DemoPort
from truetile.demo.progress import Progress
from truetile.demo.vae import new_demo_vae, to_wan_state_dict
from truetile.errors import InvalidArgument

WIDTH, HEIGHT = 160, 64


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> list[str]:
    """Arguments for a random narrow VAE, a small picture and five small frames."""
    folder = tmp_path_factory.mktemp("inputs")
    torch.manual_seed(0)
    save_file(to_wan_state_dict(new_demo_vae(8)), folder / "vae.safetensors")
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 255, (5, HEIGHT, WIDTH, 3), dtype=np.uint8)
    first, *rest = [Image.fromarray(frame) for frame in noise]
    first.save(folder / "photo.png")
    first.save(folder / "clip.webp", save_all=True, append_images=rest, lossless=True)
    files = (("--vae", "vae.safetensors"), ("--photo", "photo.png"), ("--clip", "clip.webp"))
    return [part for option, name in files for part in (option, str(folder / name))] + [
        "--threads",
        "1",
    ]


def test_the_whole_demo(inputs, tmp_path, capsys) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("keep")
    assert cli.main(["demo", "--out", str(out), "--budget", "27MiB", *inputs]) == 0
    said = capsys.readouterr()
    assert "clip: TrueTile" in said.out and str(out / "report.html") in said.out
    assert said.err.count("\n") == 8  # no terminal: one line per stage
    assert (out / "mine.txt").read_text() == "keep"
    assert not list(tmp_path.glob(".out-*"))
    for name in ("original", "untiled", "classic", "truetile"):
        assert Image.open(out / f"photo_{name}.png").size == (WIDTH, HEIGHT)
    report = json.loads((out / "report.json").read_text())
    photo, clip = (report["subjects"][name]["methods"] for name in ("photo", "clip"))
    # The layers are known: both are exact, whatever the budget.
    for subject in (photo, clip):
        assert subject["truetile"]["claim"] == "exact"
        assert subject["truetile"]["largest_error_of_255"] < 0.01
        assert not any(subject["truetile"]["borders"].values())
    assert clip["classic"]["calls"][0] > 1
    assert all(entry["peak_bytes"] > 0 for entry in (*photo.values(), *clip.values()))
    _check_page((out / "report.html").read_text(encoding="utf-8"))


def _check_page(text: str) -> None:
    assert "$" not in re.sub(r"base64,[^\"]*", "", text)
    assert "prefers-color-scheme: dark" in text
    links = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert links and all(link.startswith("data:") or link.endswith(".png") for link in links)
    assert "Its plan is exact: every layer sees what it sees untiled" in text
    assert re.search(r"TrueTile against untiled, times \d+: black, equal", text)


def test_a_budget_that_is_too_small_leaves_nothing_behind(inputs, tmp_path, capsys) -> None:
    code = cli.main(["demo", "--out", str(tmp_path / "out"), "--budget", "1KiB", *inputs])
    assert code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert re.match(r"truetile demo: budget=1024: must be at least \d+ bytes, the need of ", last)
    assert not list(tmp_path.iterdir())


def test_files_that_are_none(inputs, tmp_path, capsys) -> None:
    text, folder = tmp_path / "text.png", tmp_path / "folder"
    text.write_text("no picture")
    folder.mkdir()
    still = inputs[inputs.index("--photo") + 1]
    cases = (
        ("--photo", tmp_path / "absent.png", "no such file"),
        ("--photo", text, r"cannot be read \(no picture file\)"),
        ("--clip", folder, "cannot be read"),
        ("--clip", still, "must be an animated WebP, GIF or PNG of at least 5 frames, not 1"),
        ("--out", text, "must be a folder"),
    )
    for option, path, message in cases:
        out = [] if option == "--out" else ["--out", str(tmp_path / "out")]
        assert cli.main(["demo", *inputs, *out, option, str(path)]) == 2
        said = capsys.readouterr().err
        wanted = rf"truetile demo: {option[2:]}={re.escape(str(path))}: .*{message}"
        assert re.match(wanted, said) and said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_media_scale_and_crop(tmp_path) -> None:
    frames = [Image.new("RGB", (203, 101), (20 * k, 0, 0)) for k in range(8)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    assert media.load_clip(tmp_path / "a.webp", 1000, 17).shape == (5, 96, 200, 3)
    assert media.load_clip(tmp_path / "a.webp", 100, 5).shape == (5, 48, 96, 3)
    assert media.load_photo(tmp_path / "a.webp", 64).shape == (1, 32, 64, 3)
    Image.new("RGB", (7, 90)).save(tmp_path / "b.png")
    with pytest.raises(InvalidArgument, match="must be at least 8 x 8"):
        media.load_photo(tmp_path / "b.png", 64)


def test_difference_pictures() -> None:
    heat = np.asarray(media.difference_image(np.array([[0.0, 0.01, 1.0]]), 16)).astype(int)
    assert heat[0, 0].tolist() == [0, 0, 0] and heat[0, 2].tolist() == [255, 255, 240]
    assert 0 < heat[0, 1].sum() < heat[0, 2].sum()
    assert pictures.common_gain([np.zeros((1, 4, 4))]) == 256
    assert pictures.common_gain([np.full((1, 4, 4), 0.1), np.full((1, 4, 4), 0.03)]) == 8


def test_the_worst_place_is_no_single_pixel() -> None:
    error = np.zeros((200, 300))
    error[10, 10] = 1.0
    error[140:160, 200:220] = 0.1
    top, left = pictures.worst_place(error, (60, 80))
    assert top <= 140 and top + 60 >= 160 and left <= 200 and left + 80 >= 220
    assert pictures.worst_place(error, (200, 300)) == (0, 0)


def test_chart_is_well_formed() -> None:
    svg, _, keys = frame_chart({"a < b": np.arange(17.0)}, {"a": (4.5,)}).partition("</svg>")
    root = ElementTree.fromstring(svg + "</svg>")
    assert len(root.findall("polyline")) == 1 and "a &lt; b" in keys
    assert frame_chart({"a": np.zeros(1)}, {})


def test_seams_are_judged_against_the_untiled_result() -> None:
    frames = np.random.default_rng(0).random((1, 64, 200, 3), np.float32)
    subject = bench.Subject("photo", "Photograph", frames, ("untiled", "classic"))
    numbers = {"borders": Borders(x=(100.0,))}
    subject.outcomes["untiled"] = bench.compare(subject, numbers, frames * 0.9)
    off = frames * 0.9
    off[:, :, 90:110] += 0.01
    outcome = bench.compare(subject, numbers, off)
    assert outcome.largest_error == pytest.approx(0.01, rel=1e-3)
    assert outcome.seam.near > 0 and outcome.seam.elsewhere == 0
    assert outcome.psnr > outcome.psnr_original


def test_onednn_convolutions_change_nothing() -> None:
    torch.manual_seed(0)
    plain, fast = new_demo_vae(8).eval(), new_demo_vae(8).eval()
    fast.load_state_dict(plain.state_dict())
    port = DemoPort(fast, (5, 40, 48))
    pixels = torch.rand(1, 3, 5, 40, 48) * 2 - 1
    with torch.inference_mode():
        latent = plain.encode(pixels)[0].mode()
        assert torch.allclose(port.encode(pixels), latent, atol=1e-5)
        assert torch.allclose(port.decode(latent), plain.decode(latent)[0], atol=1e-5)


def test_progress_without_a_terminal_is_a_line_per_stage() -> None:
    stream = io.StringIO()
    with Progress({"one": 1, "two": 3}, stream) as progress:
        for name in ("one", "two"):
            progress.begin(name)
            progress.at(0.5)
            progress.end()
    assert re.fullmatch(r"one: \d+\.\d s\ntwo: \d+\.\d s\n", stream.getvalue())


def test_progress_bar_reaches_its_end() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    with Progress({"one": 1, "two": 3}, stream) as progress:
        for name in ("one", "two"):
            progress.begin(name)
            progress.at(0.5)
            progress.end()
    text = stream.getvalue()
    assert [int(n) for n in re.findall(r"(\d+)%", text)] == sorted(
        int(n) for n in re.findall(r"(\d+)%", text)
    )
    assert "one" in text and "two" in text and "100%" in text


class _Dead:
    """A stand-in for a context whose process dies before it answers."""

    exitcode = -9

    def __init__(self, target=None, args=(), daemon=True):
        self._sending = args[1] if args else None

    def Pipe(self, duplex):
        return multiprocessing.Pipe(duplex)

    Process = property(lambda self: _Dead)

    def start(self):
        self._sending.close()

    def join(self):
        pass

    def terminate(self):
        pass


def test_a_killed_process_is_told_from_a_failed_one(tmp_path) -> None:
    job = bench.Job("truetile", tmp_path, tmp_path, tmp_path, 1, 1, "cpu")
    with pytest.raises(CommandFailed, match="killed by SIGKILL, most likely for lack of memory"):
        bench.run_job(_Dead(), job, lambda share: None)
    assert "out of memory" in str(bench._failure(job, "memory", "..."))
    assert isinstance(bench._failure(job, "InvalidArgument", "x"), InvalidArgument)
    assert isinstance(bench._failure(job, "bug", "Traceback"), RuntimeError)
