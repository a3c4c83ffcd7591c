"""`truetile explain`: what it says is what a call then does."""

from __future__ import annotations

import re

import pytest
import torch

import truetile
from truetile import cli
from truetile.engine import selftest
from truetile.engine.diffusers_port import DiffusersPort
from truetile.engine.explain import explain
from truetile.errors import BudgetError
from truetile.settings import Settings

diffusers = pytest.importorskip("diffusers")


def wan():
    torch.manual_seed(0)
    vae = diffusers.AutoencoderKLWan(base_dim=8, num_res_blocks=1, z_dim=4)
    return vae.eval().requires_grad_(False)


@pytest.mark.parametrize("spare", [0, 1 << 20, 1 << 30])
def test_the_plan_that_is_named_is_the_one_that_runs(spare: int) -> None:
    selftest.forget()
    vae, z = wan(), torch.randn(1, 4, 3, 12, 10)
    port = DiffusersPort(vae)
    budget = min(line.bytes for line in explain(port, "decode", z, Settings()).lines) + spare
    told = explain(port, "decode", z, Settings(budget=budget))
    _, report = truetile.decode(vae, z, budget=budget)
    assert told.lines[told.chosen].bytes == report.rungs[-1]["bytes"] <= budget
    assert told.why in report.why and "exact, Wan 2.1" in str(told)
    assert all(line.work == pytest.approx(report.work_factor) for line in told.lines)
    needs = [line.bytes for line in told.lines]
    seconds = [line.seconds for line in told.lines]
    assert needs == sorted(needs, reverse=True) and seconds == sorted(seconds)


def test_a_budget_below_every_exact_plan_is_for_tiles_or_an_error() -> None:
    port, z = DiffusersPort(wan()), torch.empty(1, 4, 3, 90, 160)
    least = explain(port, "decode", z, Settings()).lines[-1].bytes
    told = explain(port, "decode", z, Settings(budget=least - 1))
    assert "blended" in told.engine and f"must be at least {least} bytes" in told.why
    with pytest.raises(BudgetError, match="the rungs need"):
        explain(port, "decode", z, Settings(budget=1000))


@pytest.mark.parametrize(
    ("argv", "wanted"),
    [
        ([], "AutoencoderKLWan, 3.6 M weights, bfloat16, 832x480, 81 frames"),
        (["--family", "wan2.1", "--budget", "2GiB"], "decode: exact, Wan 2.1"),
        (["--family", "qwen-image", "--frames", "1", "--size", "512x512"], "encode: exact"),
        (
            ["--family", "sdxl", "--size", "1024x1024", "--dtype", "float16"],
            "KL, 83.7 M",
        ),
        (["--family", "wan2.2", "--size", "1280x704"], "AutoencoderKLWan, 704.7 M weights"),
        (["--family", "wan2.2", "--size", "640x352"], "decode: exact, Wan 2.2 5B"),
        (["--family", "hunyuan1.0", "--size", "320x192"], "decode: exact, HunyuanVideo 1.0"),
        (["--family", "hunyuan1.5", "--size", "640x352"], "decode: exact, HunyuanVideo 1.5"),
        (["--family", "flux", "--size", "1024x1024"], "KL, 83.8 M"),
    ],
)
def test_families_of_full_width_need_no_weights(argv, wanted, capsys) -> None:
    assert cli.main(["explain", *argv]) == 0
    said = capsys.readouterr().out
    assert wanted in said
    # One plan of each operation is marked, with its memory.
    assert len(re.findall(r"^\*  \S.* [0-9.]+ [KMG]iB", said, re.MULTILINE)) == 2


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ["--family", "wan"],
            "family=wan: must be one of wan2.1, qwen-image, wan2.2, hunyuan1.0, hunyuan1.5, sdxl, "
            "flux",
        ),
        (["--vae", "none.safetensors"], "vae=none.safetensors: no such file"),
        (["--size", "830x480"], "size=830x480: must be WIDTHxHEIGHT in multiples of 8"),
        (["--size", "big"], "size=big: must be WIDTHxHEIGHT"),
        (["--frames", "80"], "frames=80: must be 1 more than a multiple of 4"),
        (["--family", "sdxl", "--frames", "5"], "frames=5: must be 1, this VAE is for pictures"),
        (["--budget", "much"], "budget=much: must be a number"),
    ],
)
def test_mistakes_are_named(argv, message, capsys) -> None:
    assert cli.main(["explain", *argv]) == 2
    assert capsys.readouterr().err.startswith(f"truetile explain: {message}")
