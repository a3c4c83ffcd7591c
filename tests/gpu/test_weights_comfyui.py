"""Exact calls in ComfyUI on a real GPU: whose weights are there, and what the card's peak is.

COMFYUI_DIR=... COMFYUI_PYTHON=... COMFYUI_FLAGS="--front-end-root DIR" pytest tests/gpu
"""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path

import pytest
from comfy_memory import MIB, serving
from prompts import Graph

pytestmark = pytest.mark.skipif(not os.environ.get("COMFYUI_DIR"), reason="needs COMFYUI_DIR")
PACK = Path(__file__).parent / "weights_pack"
# The shapes of the benchmark, smaller.
CASES = {
    "wan21 decode": ("wan21", "decode", 480, 832, 17),
    "wan21 decode, wider": ("wan21", "decode", 720, 1280, 9),
    "wan21 encode": ("wan21", "encode", 480, 832, 17),
    "wan21 decode of a still": ("wan21", "decode", 1024, 1024, 1),
    "sdxl decode": ("sdxl", "decode", 1024, 1024, 0),
    "sdxl encode": ("sdxl", "encode", 1024, 1024, 0),
}
# Counted whether they are needed or not: cuBLAS' workspace and a convolution's own.
WORKSPACES = 56 * MIB
# As the self-test: what the mantissa of bfloat16 leaves, relative to the spread of the values.
COARSE = 0.05


@pytest.fixture(scope="module", params=["dynamic", "legacy"])
def probe(request, tmp_path_factory):
    """What ProbeWeights found for a case, or the error; each case runs once."""
    base = tmp_path_factory.mktemp(request.param) / "base"
    with serving(request.param, base, packs=[PACK]) as server:
        yield functools.cache(functools.partial(run_case, server))


def run_case(server, name: str) -> dict | RuntimeError:
    family, operation, height, width, frames = CASES[name]
    graph = Graph()
    sizes = {"height": height, "width": width, "frames": frames}
    node = graph.add("ProbeWeights", family=family, operation=operation, **sizes)
    try:
        (text,) = server.run(graph.prompt, timeout=600)[node.name]["text"]
    except RuntimeError as error:
        return error
    print(f"{name}: {text}")
    return json.loads(text)


@pytest.fixture(params=CASES)
def found(probe, request) -> dict:
    result = probe(request.param)
    if isinstance(result, RuntimeError):
        raise result
    return result


def test_the_vaes_own_weights_are_off_the_card(found):
    for call in (*found["exact"], found["patched"]):
        assert call["looks"] > 20 and call["seen"] == 0, call
    # Of one call at least: under dynamic VRAM pages may go by their manager's own reckoning, while
    # the stock node runs that is to bring them.
    assert max(call["loaded"] for call in found["exact"]) > 40 * MIB, "nothing had to leave"


def test_the_peak_is_what_was_said(found):
    for call in found["exact"]:
        assert call["peak"] <= call["said"] <= 1.05 * call["peak"] + WORKSPACES, call


def test_a_budget_of_the_tiled_nodes_peak_is_kept(found):
    free, tight = found["exact"]
    assert tight["budget"] >= found["tiled"]["peak"] and free["budget"] == 0
    assert tight["peak"] <= tight["budget"], tight


def test_the_result_is_the_stock_nodes_and_the_stock_node_gives_it_again(found):
    for call in found["exact"]:
        assert call["error"] <= COARSE, call
        assert call["stock_after"], "ComfyUI's own call gives something else afterwards"


def test_dynamic_vram_leaves_kept_weights_as_they_were(found, request):
    """A stock call between two exact ones loads the VAE; without dynamic VRAM that moves it."""
    if request.node.callspec.params["probe"] == "dynamic":
        assert [call["packing"] for call in found["exact"]] == [0, 0], "packed again"


def test_patched_weights_are_served_and_gone_with_their_patcher(found):
    call = found["patched"]
    assert call["changed"] > 2 * COARSE, "the patch changes too little to be seen"
    assert max(call["errors"]) <= COARSE, call
    assert call["stock_after"] and call["plain_after"], call
