"""`truetile memory watch`: fields of any age, silent servers, and never 0 for unknown."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest's importlib mode leaves siblings out

import terminal
from fake_server import answering

from truetile import cli
from truetile.watch import driver, screen, sources
from truetile.watch.client import Client, Refused, ServerSilent
from truetile.watch.reading import Reading, from_system_stats

GIB = 2**30
NOBODY = "http://127.0.0.1:9"  # the discard port: nothing listens there


def device(**figures) -> Reading:
    entry = {"name": "card", "type": "cuda", **figures}
    (found,) = from_system_stats({"system": {}, "devices": [entry]}, "test")
    return found


@pytest.fixture
def no_driver(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setenv("PATH", "")


@pytest.fixture
def smi(monkeypatch, tmp_path):
    """An nvidia-smi that prints what the test says."""
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def say(text: str, code: int = 0) -> None:
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\ncat <<'E'\n{text}\nE\nexit {code}\n")
        program.chmod(0o755)

    return say


def test_the_drivers_free_is_told_apart_from_torchs() -> None:
    now = device(
        vram_total=24 * GIB, vram_free=10 * GIB, torch_vram_total=16 * GIB, torch_vram_free=4 * GIB
    )
    assert (now.total, now.free, now.used) == (24 * GIB, 6 * GIB, 18 * GIB)
    assert (now.torch_reserved, now.torch_free, now.usable) == (16 * GIB, 4 * GIB, 10 * GIB)


def test_main_memory_has_no_torch_cache() -> None:
    """ComfyUI repeats the machine's free bytes as torch's on a CPU."""
    entry = {
        "type": "cpu", "vram_total": 8 * GIB, "vram_free": 3 * GIB,
        "torch_vram_total": 8 * GIB, "torch_vram_free": 3 * GIB,
    }  # fmt: skip
    now = device(**entry)
    assert (now.free, now.used, now.torch_free) == (3 * GIB, 5 * GIB, None)


@pytest.mark.parametrize(
    ("figures", "total", "free"),
    [
        ({"vram_total": 8 * GIB, "vram_used": 2 * GIB}, 8 * GIB, 6 * GIB),
        ({"vram_total": 8 * GIB, "used_mem_mb": 2048}, 8 * GIB, 6 * GIB),
        ({"total_mem_mb": 8192, "free_mem_mb": 1024.5}, 8 * GIB, int(1024.5 * 2**20)),
        ({"vram_total_mb": 8192, "vram_free_mb": 0}, 8 * GIB, 0),
        ({"vram_total": 8 * GIB, "vram_free": None, "vram_used": 2 * GIB}, 8 * GIB, 6 * GIB),
        ({"vram_total": 8 * GIB}, 8 * GIB, None),
        ({"vram_total": 0, "vram_free": 0}, None, None),
        ({"vram_total": "8 GB", "vram_free": True}, None, None),
        ({"vram_free": -1}, None, None),
        ({}, None, None),
    ],
)
def test_names_of_any_age(figures, total, free) -> None:
    now = device(**figures)
    assert (now.total, now.free) == (total, free)


@pytest.mark.parametrize("stats", [None, [], "x", 3, {"devices": []}, {"devices": [None, 1]}])
def test_answers_that_are_none(stats) -> None:
    assert from_system_stats(stats, "test") == []


def test_figures_at_the_top() -> None:
    (now,) = from_system_stats({"vram_total": GIB, "vram_free": GIB // 2}, "test")
    assert now.used == GIB // 2


def test_unknown_is_never_zero() -> None:
    text = screen.line(device(vram_total=8 * GIB), 0.0)
    assert "used unknown, free unknown, total 8.00 GiB" in text
    assert not re.search(r"\b0(\.0+)? [GM]iB", text)
    table = screen.Table("title", 1.0)
    table.add([device()], 0.0)
    page = table.text(0.0)
    assert "unknown" in page and not re.search(r"\b0(\.0+)? [GM]iB", page)


def test_sparkline() -> None:
    assert screen.sparkline([0, 1, None, 7, 8], top=8) == "▁▂ ██"
    assert screen.sparkline([5, 5], width=1) == "█"
    assert screen.sparkline([0, 0]) == "▁▁"
    assert screen.sparkline([]) == "" and screen.sparkline([None]) == " "


def test_a_silent_server_and_nvidia_smi(smi) -> None:
    smi("NVIDIA RTX, a card, 24564, 4000, 20000\nOld card, [N/A], [N/A], [N/A]")
    first, second = sources.read(Client(NOBODY))
    assert (first.device, first.source) == ("NVIDIA RTX, a card", "nvidia-smi")
    assert (first.used, first.free) == (4000 * 2**20, 20000 * 2**20)
    assert "server silent" in first.note and "refused" in first.note
    assert (second.device, second.used, second.total) == ("Old card", None, None)


@pytest.mark.parametrize(
    ("said", "code", "message"),
    [("NVIDIA-SMI has failed", 9, "NVIDIA-SMI has failed"), ("", 0, "no device")],
)
def test_a_driver_that_does_not_work(smi, said, code, message) -> None:
    smi(said, code)
    with pytest.raises(driver.NoDriver, match=f"nvidia-ml-py is not installed.*{message}"):
        driver.read()


def test_a_server_without_figures(no_driver) -> None:
    with (
        answering({"/system_stats": {"system": {}, "devices": [{"name": "x"}]}}) as url,
        pytest.raises(sources.NoReading, match=r"no figure that is known.*nvidia-smi: not found"),
    ):
        sources.read(Client(url))


def test_what_is_not_comfyui() -> None:
    with answering({"/system_stats": b"<html>"}) as url:
        with pytest.raises(ServerSilent, match="not JSON, is it ComfyUI"):
            Client(url).get("/system_stats")
        with pytest.raises(Refused) as caught:
            Client(url).get("/nothing")
    assert caught.value.status == 404


def test_readings_as_lines(capsys) -> None:
    entry = {"name": "card", "type": "cuda", "vram_total": 2 * GIB, "vram_free": GIB}
    stats = {"system": {"ram_total": 4 * GIB, "ram_free": 3 * GIB}, "devices": [entry]}
    with answering({"/system_stats": stats}) as url:
        argv = ["memory", "watch", "--server", url, "--interval", "0.1", "--count", "2"]
        assert cli.main(argv) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    said = "card: used 1.00 GiB, free 1.00 GiB, total 2.00 GiB, RAM free 3.00 GiB [ComfyUI]"
    assert all(line.endswith(said) for line in lines)


CARD = {
    "name": "cuda:0 NVIDIA GeForce RTX 4090 : cudaMallocAsync", "type": "cuda",
    "vram_total": 24 * GIB, "vram_free": 9 * GIB,
    "torch_vram_total": 12 * GIB, "torch_vram_free": 2 * GIB,
}  # fmt: skip


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (120, 30)])
def test_the_table_on_a_terminal(columns, lines) -> None:
    """Two cards of one name: neither takes the other's bars, and the RAM is there once."""
    stats = {
        "system": {"ram_total": 64 * GIB, "ram_free": 31 * GIB},
        "devices": [CARD, {**CARD, "vram_free": 100 * 2**20, "torch_vram_free": 0}],
    }
    with answering({"/system_stats": stats}) as url:
        argv = ["--server", url, "--interval", "0.1"]
        frames, code, rest = terminal.watch(argv, columns, lines, frames=4)
    assert code == 0 and "interrupted" not in rest, "Ctrl-C is its usual end"
    page = frames[3]
    assert all(len(line) <= columns for line in page) and len(page) < lines
    assert page[0].startswith(f"TrueTile memory watch, {url}, every 0.1 s  ")
    assert len(page[0]) == columns, "the time stands at the right edge"
    text = "\n".join(page)
    assert "used              17.00 GiB  70% of 24.00 GiB, highest seen 17.00 GiB" in text
    assert "used              23.90 GiB  99% of 24.00 GiB, highest seen 23.90 GiB" in text
    assert "torch reserved    12.00 GiB  2.00 GiB of it unused" in text
    assert text.count("main memory\n  used              33.00 GiB  51% of 64.00 GiB") == 1
    bars = [line for line in page if line.startswith("  ▆") or line.startswith("  █")]
    assert [bar.strip() for bar in bars] == ["▆▆▆▆", "████"]
    assert text.count("used in the last 0.4 s, full height 24.00 GiB") == 2
    assert page[-1].startswith("Ctrl-C ends.")


def test_a_low_terminal_gets_a_line_for_each_device() -> None:
    stats = {
        "system": {"ram_total": 64 * GIB, "ram_free": 31 * GIB}, "devices": [CARD, CARD, CARD]
    }  # fmt: skip
    with answering({"/system_stats": stats}) as url:
        frames, _, _ = terminal.watch(["--server", url, "--interval", "0.1"], 80, 10, frames=2)
    assert [line.strip()[:30] for line in frames[1][1:]] == [
        *["17.00 GiB of  24.00 GiB used  "] * 3, "33.00 GiB of  64.00 GiB used  "
    ]  # fmt: skip


def test_the_last_figures_stay_with_their_age_when_the_server_goes(no_driver, monkeypatch) -> None:
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((80, 24)))
    table = screen.Table("title", 2.0)
    table.add([device(**{k: v for k, v in CARD.items() if k.startswith("vram")})], 100.0)
    table.missed("no reading: http://127.0.0.1:8188: Connection refused; " + "and why " * 12)
    page = re.sub("\x1b\\[.", "", table.text(107.0)).splitlines()
    assert all(len(line) <= 80 for line in page)
    assert page[1].startswith("no reading: http://127.0.0.1:8188: Connection refused; and why")
    assert page[2].startswith("and why"), "the whole reason, on as many lines as it needs"
    text = "\n".join(page)
    assert "The figures are 7.0 s old." in text and "15.00 GiB  62% of 24.00 GiB" in text
    assert "  ▆ \n" in text.replace("▅", "▆"), "a gap for what was missed"
    table.add([device(**CARD)], 108.0)
    assert "no reading" not in table.text(108.0)


def test_a_terminal_that_cannot_be_drawn_on_gets_lines() -> None:
    with answering({"/system_stats": {"devices": [CARD]}}) as url:
        argv = ["--server", url, "--interval", "0.1", "--count", "2"]
        _, code, rest = terminal.watch(argv, 80, 24, frames=0, term="dumb")
    assert code == 0 and "\x1b" not in rest and rest.count("used 17.00 GiB") == 2


def test_no_reading_at_all_fails_in_one_line(capsys, no_driver) -> None:
    assert cli.main(["memory", "watch", "--server", NOBODY, "--count", "1"]) == 1
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    assert said.err.startswith("truetile memory watch: no reading: http://127.0.0.1:9: ")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ((), "truetile memory: the following arguments are required: COMMAND"),
        (("watch", "--server", "localhost"), "--server: server=localhost: must be a URL such as"),
        (("watch", "--interval", "0"), "--interval: interval=0: must be a number of seconds in"),
        (("watch", "--interval", "nan"), "--interval: interval=nan: must be a number of seconds"),
        (("watch", "--count", "0"), "--count: count=0: must be a whole number of at least 1"),
    ],
)
def test_mistakes_take_one_line_and_exit_code_2(capsys, argv, message) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["memory", *argv])
    said = capsys.readouterr().err
    assert end.value.code == 2 and message in said and said.count("\n") == 1
