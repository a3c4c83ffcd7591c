"""The finished part of a decode on its node, as ComfyUI shows a sampler's progress."""

from __future__ import annotations

import io
import json
import struct

import numpy as np
import pytest
from PIL import Image
from prompts import TILES, Graph, give_latent, saved, settings_of, smooth_latent

PICTURE_MESSAGE = 1  # for clients that have not asked for pictures with the node's id


@pytest.fixture(autouse=True)
def previews_by_prompt(comfyui):
    if "preview_method" not in (comfyui / "execution.py").read_text():
        pytest.skip("this ComfyUI has previews for all prompts or for none")


def run(server, name: str, method: str, **settings) -> tuple[list[np.ndarray], np.ndarray, float]:
    """The pictures that came during a decode of a clip, its last frame, its seconds."""
    latent = smooth_latent(16, 3, 28, 44, seed=sum(name.encode()))
    graph = Graph()
    source = graph.add("LoadLatent", latent=give_latent(server, name, latent))[0]
    settings = settings_of(settings)
    node = graph.add("TrueTileVAEDecode", samples=source, vae=graph.vae(), **settings)
    graph.save(name, images=node[0])
    graph.add("PreviewAny", source=node[1])
    body = {"prompt": graph.prompt, "client_id": server.client_id}
    body["extra_data"] = {"preview_method": method}
    socket = server.listen()
    prompt = server.post("/prompt", body)["prompt_id"]
    pictures = []
    while True:
        message = socket.receive()
        if isinstance(message, bytes):
            if struct.unpack(">I", message[:4]) == (PICTURE_MESSAGE,):
                pictures.append(np.asarray(Image.open(io.BytesIO(message[8:])), np.float32))
            continue
        event = json.loads(message)
        if event["data"].get("prompt_id") != prompt:
            continue
        assert event["type"] != "execution_error", event
        if event["type"] == "execution_success":
            break
    socket.close()
    outputs = server.wait(prompt)["outputs"]
    report = next(text for out in outputs.values() for text in out.get("text", []))
    seconds = float(report.splitlines()[1].split(" s")[0])
    return pictures, saved(server, name)[-1].numpy() * 255, seconds


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["blended", "exact"])
def test_the_finished_part_is_shown_and_in_the_end_all_of_it(server, mode):
    sizes = TILES if mode == "blended" else {"budget_gib": 0.0625}
    pictures, frame, seconds = run(server, f"preview-{mode}", "auto", mode=mode, **sizes)
    assert len(pictures) >= 2
    assert len(pictures) <= seconds / 0.4 + 2, "at most a few a second"
    assert all(picture.shape == frame.shape for picture in pictures)
    # JPEG in YCbCr with half the colour: a few of 255 on average.
    assert np.abs(pictures[-1] - frame).mean() < 6
    empty = [(np.abs(picture - 32) < 6).all(-1).mean() for picture in pictures]
    assert empty[0] > 0.2
    assert empty[-1] < 0.05


@pytest.mark.slow
def test_without_previews_there_is_none(server):
    pictures, _, _ = run(server, "no-preview", "none", mode="blended", **TILES)
    assert pictures == []
