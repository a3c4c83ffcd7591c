"""Progress, interruption, and what happens after a failure."""

from __future__ import annotations

import json
import struct
import time
from itertools import pairwise

import pytest
from prompts import TILES, VAE_NAME, Graph, give_latent, settings_of, smooth_latent
from server import PromptRefused, error_message

TEXT_MESSAGE = 3  # the binary message that puts text on a node


def tiled_decode(server, name: str) -> tuple[dict, str]:
    """A prompt of many tiles, and the id of its TrueTile node.

    Each name has a latent of its own: ComfyUI would not run the same decode twice.
    """
    latent = smooth_latent(16, 1, 28, 44, seed=sum(name.encode()))
    graph = Graph()
    source = graph.add("LoadLatent", latent=give_latent(server, name, latent))[0]
    settings = settings_of({**TILES, "mode": "blended"})
    node = graph.add("TrueTileVAEDecode", samples=source, vae=graph.vae(), **settings)
    graph.save(name, images=node[0])
    return graph.prompt, node.name


def events(socket, prompt_id: str):
    """(kind, data, seconds) of each event of a prompt, to its end.

    A text for a node, which comes in binary form, is given as the kind "text" with its bytes.
    """
    while True:
        message = socket.receive()
        if isinstance(message, bytes):
            if struct.unpack(">I", message[:4]) == (TEXT_MESSAGE,):
                yield "text", message[4:], time.monotonic()
            continue
        event = json.loads(message)
        data = event.get("data", {})
        if data.get("prompt_id") != prompt_id:
            continue
        yield event["type"], data, time.monotonic()
        if event["type"] in ("execution_success", "execution_error", "execution_interrupted"):
            return


@pytest.mark.slow
def test_progress_grows_tile_by_tile_and_the_report_is_shown_on_the_node(server):
    socket = server.listen()
    prompt, node = tiled_decode(server, "progress")
    seen = list(events(socket, server.queue(prompt)))
    socket.close()
    progress = [data for kind, data, _ in seen if kind == "progress" and data["node"] == node]
    values = [data["value"] / data["max"] for data in progress]
    assert len(values) >= 4
    assert values == sorted(values)
    assert values[-1] == 1.0
    shown = [data.decode(errors="replace") for kind, data, _ in seen if kind == "text"]
    assert any("close to untiled" in text for text in shown), shown


@pytest.mark.slow
def test_interrupting_stops_within_one_tile_and_the_next_prompt_works(server):
    socket = server.listen()
    prompt, node = tiled_decode(server, "interrupted")
    prompt_id = server.queue(prompt)
    seen, at, times = [], None, []
    for kind, data, now in events(socket, prompt_id):
        seen.append(kind)
        if kind == "progress" and data["node"] == node:
            times.append(now)
            if len(times) == 3:
                server.post("/interrupt")
                at = time.monotonic()
        ended = now
    socket.close()
    assert seen[-1] == "execution_interrupted"
    tile = max(b - a for a, b in pairwise(times))
    assert ended - at <= 1.5 * tile + 0.5, "more than the tile that was being computed"
    assert sum(now > at for now in times) <= 1
    assert error_message(server.wait(prompt_id)) == "interrupted"

    prompt, _ = tiled_decode(server, "after")
    assert server.run(prompt)["4"] == {"tensors": ["after.safetensors"]}


def failing(server, **changes) -> str:
    """The message of a decode whose latent or settings are wrong."""
    graph = Graph()
    latent = changes.pop("latent")
    source = graph.add("LoadLatent", latent=give_latent(server, "bad", latent))[0]
    if changes.pop("nested", False):
        source = graph.add("ProbeNestedLatent", samples=source)[0]
    settings = settings_of(changes)
    images = graph.add("TrueTileVAEDecode", samples=source, vae=graph.vae(), **settings)[0]
    graph.save("bad", images=images)
    entry = server.wait(server.queue(graph.prompt))
    assert entry["status"]["status_str"] == "error"
    return error_message(entry)


def nan_latent():
    latent = smooth_latent(16, 1, 8, 8)
    latent[0, 0, 0, 0, 0] = float("nan")
    return latent


@pytest.mark.parametrize(
    ("latent", "changes", "words"),
    [
        (smooth_latent(4, 1, 8, 8), {}, ["samples", "16 channels"]),
        (smooth_latent(16, 1, 8, 8)[:, :, 0], {}, ["samples", "[B, C, T, h, w]"]),
        (nan_latent(), {}, ["samples", "NaN", "must be finite"]),
        (smooth_latent(16, 1, 32, 32), {"budget_gib": 0.0001}, ["budget", "need"]),
    ],
    ids=["channels", "rank", "nan", "budget"],
)
def test_a_bad_input_is_named(server, latent, changes, words):
    message = failing(server, latent=latent, **changes)
    for word in words:
        assert word in message, message


def test_an_unknown_mode_is_refused(server):
    """Before it runs, but for old ComfyUIs: they do not check the choices of such nodes."""
    prompt, node = tiled_decode(server, "unknown_mode")
    prompt[node]["inputs"]["mode"] = "sharp"
    try:
        message = error_message(server.wait(server.queue(prompt)))
    except PromptRefused as refused:
        message = str(refused)
    assert "mode" in message and "sharp" in message and "blended" in message


def test_of_a_nested_latent_the_picture_is_decoded(comfyui, server):
    """As ComfyUI's own VAEDecode does with the latents of audio-video models."""
    if not (comfyui / "comfy" / "nested_tensor.py").exists():
        pytest.skip("this ComfyUI has no nested latents")
    graph = Graph()
    source = graph.add("LoadLatent", latent=give_latent(server, "av", smooth_latent(16, 1, 8, 8)))
    nested = graph.add("ProbeNestedLatent", samples=source[0])[0]
    vae = graph.add("VAELoader", vae_name=VAE_NAME)[0]
    images = graph.add("TrueTileVAEDecode", samples=nested, vae=vae, **settings_of({}))[0]
    graph.save("av", images=images)
    server.run(graph.prompt)


def test_the_report_comes_as_output_and_with_the_history(server):
    prompt, node = tiled_decode(server, "report")
    prompt["shown"] = {"class_type": "PreviewAny", "inputs": {"source": [node, 1]}}
    outputs = server.run(prompt)
    assert outputs["shown"]["text"] == outputs[node]["text"]
    assert "tiles" in outputs[node]["text"][0]
