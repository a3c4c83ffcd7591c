"""TrueTile in the place of stock nodes: the same result, or the result that its tiles must give.

The bound of the blended engine, which the tiled tests check: its result is the mean of what stock
ComfyUI decodes (encodes) of each tile by itself, weighted with ramps that sum to one. So it equals
that mean up to rounding, lies between the tiles' values at every pixel, and is never farther from
the untiled result than the worst of the tiles that cover a pixel.
"""

from __future__ import annotations

import pytest
import torch
from blending import FACTOR, blend, tiles_of
from prompts import TILES, Graph, give_latent, picture, saved, settings_of, smooth_latent

ONE_OF_255 = 1 / 255
UNTILED = settings_of({"mode": "untiled"})
BLENDED = settings_of({**TILES, "mode": "blended"})
LATENTS = {"image": (1, 16, 20), "video": (2, 16, 20)}  # frames, height, width
CLIP = (5, 128, 160)  # frames, height, width in pixels


def decode(server, latent: torch.Tensor, name: str, node="VAEDecode", vae="vae", **settings):
    """Pixels that `node` makes of a latent, with the stock VAE or (truetile_vae) the wrapped."""
    graph = Graph()
    source = graph.add("LoadLatent", latent=give_latent(server, name, latent))[0]
    images = graph.add(node, samples=source, vae=getattr(graph, vae)(), **settings)[0]
    graph.save(name, images=images)
    server.run(graph.prompt)
    return saved(server, name)


def encode(server, shape, name: str, node="VAEEncode", vae="vae", crop=None, **settings):
    """The latent that `node` makes of the probe clip, or of its rectangle crop (y, x, h, w)."""
    graph = Graph()
    frames, height, width = shape
    pixels = graph.add("ProbeFrames", frames=frames, height=height, width=width)[0]
    if crop is not None:
        y, x, h, w = crop
        pixels = graph.add("ImageCrop", image=pixels, x=x, y=y, width=w, height=h)[0]
    samples = graph.add(node, pixels=pixels, vae=getattr(graph, vae)(), **settings)[0]
    graph.save(name, samples=samples)
    server.run(graph.prompt)
    return saved(server, name)


@pytest.fixture(scope="module", params=LATENTS)
def latent(request):
    return smooth_latent(16, *LATENTS[request.param])


@pytest.fixture(scope="module")
def stock_pixels(server, latent):
    return decode(server, latent, "stock_pixels")


@pytest.fixture(scope="module")
def stock_latent(server):
    return encode(server, CLIP, "stock_latent")


@pytest.mark.parametrize("mode", ["untiled", "auto"])
def test_decode_in_one_piece_equals_stock(server, latent, stock_pixels, mode):
    settings = settings_of({"mode": mode})
    ours = decode(server, latent, "ours", "TrueTileVAEDecode", **settings)
    assert ours.shape == stock_pixels.shape
    assert (ours - stock_pixels).abs().max() <= ONE_OF_255


def test_saved_pictures_equal_stocks_within_one_of_255(server):
    graph = Graph()
    latent = give_latent(server, "saved", smooth_latent(16, *LATENTS["video"]))
    source, vae = graph.add("LoadLatent", latent=latent)[0], graph.vae()
    stock = graph.add("VAEDecode", samples=source, vae=vae)[0]
    ours = graph.add("TrueTileVAEDecode", samples=source, vae=vae, **UNTILED)[0]
    stock_files = graph.add("SaveImage", images=stock, filename_prefix="stock").name
    our_files = graph.add("SaveImage", images=ours, filename_prefix="ours").name
    outputs = server.run(graph.prompt)
    files = zip(outputs[stock_files]["images"], outputs[our_files]["images"], strict=True)
    for theirs, mine in files:
        difference = picture(server.path_of(theirs)) - picture(server.path_of(mine))
        assert abs(difference).max() <= 1


@pytest.mark.parametrize("shape", [(1, 64, 96), (9, 48, 64), (7, 51, 70)], ids=str)
def test_encode_in_one_piece_equals_stock(server, shape):
    """Also where edges are no multiple of 8 and frames no 4n + 1."""
    stock = encode(server, shape, "stock")
    ours = encode(server, shape, "ours", "TrueTileVAEEncode", **UNTILED)
    assert ours.shape == stock.shape
    assert (ours - stock).abs().max() <= 1e-4 * stock.abs().max()


@pytest.mark.slow
def test_tiled_decode_is_the_blend_of_stock_decodes(server, latent, stock_pixels):
    tiles = tiles_of(*latent.shape[-2:], TILES, FACTOR)
    assert len(tiles) == 4
    parts = []
    for tile in tiles:
        (y, x), (h, w) = tile.begin, tile.length
        part = latent[..., y : y + h, x : x + w].contiguous()
        parts.append(_channels_first(decode(server, part, f"part_{len(parts)}")))
    ours = _channels_first(decode(server, latent, "tiled", "TrueTileVAEDecode", **BLENDED))
    _check_bound(ours, _channels_first(stock_pixels), tiles, parts, FACTOR, ONE_OF_255)


@pytest.mark.slow
def test_tiled_encode_is_the_blend_of_stock_encodes(server, stock_latent):
    tiles = tiles_of(*stock_latent.shape[-2:], TILES, 1)
    assert len(tiles) == 4
    parts = []
    for tile in tiles:
        crop = [FACTOR * edge for edge in (*tile.begin, *tile.length)]
        parts.append(encode(server, CLIP, f"part_{len(parts)}", crop=crop))
    ours = encode(server, CLIP, "tiled", "TrueTileVAEEncode", **BLENDED)
    _check_bound(ours, stock_latent, tiles, parts, 1, 1e-3)


def _check_bound(ours, untiled, tiles, parts, scale, rounding):
    mean, low, high = blend(tiles, parts, ours.shape, scale)
    # Stock clips each tile's pixels to [0, 1], TrueTile the mean; clipped ones say nothing here.
    inside = (low > 0) & (high < 1) if scale == FACTOR else torch.ones_like(low, dtype=torch.bool)
    assert inside.float().mean() > 0.5
    assert (ours - mean)[inside].abs().max() <= rounding
    assert (low - ours).max() <= rounding
    assert (ours - high).max() <= rounding
    worst = torch.maximum((high - untiled).abs(), (low - untiled).abs())
    assert ((ours - untiled).abs() - worst).max() <= rounding


def _channels_first(pixels: torch.Tensor) -> torch.Tensor:
    return pixels.movedim(-1, 1)


@pytest.mark.parametrize("node", ["VAEDecode", "VAEDecodeTiled"])
def test_wrapped_vae_in_stock_decode_nodes(server, latent, stock_pixels, node):
    """While everything fits there are no tiles, even where a node asks for them."""
    sizes = {} if node == "VAEDecode" else TILES
    ours = decode(server, latent, "ours", node, vae="truetile_vae", **sizes)
    assert ours.shape == stock_pixels.shape
    assert (ours - stock_pixels).abs().max() <= ONE_OF_255


@pytest.mark.parametrize("node", ["VAEEncode", "VAEEncodeTiled"])
def test_wrapped_vae_in_stock_encode_nodes(server, stock_latent, node):
    sizes = {} if node == "VAEEncode" else TILES
    ours = encode(server, CLIP, "ours", node, vae="truetile_vae", **sizes)
    assert ours.shape == stock_latent.shape
    assert (ours - stock_latent).abs().max() <= 1e-4 * stock_latent.abs().max()


def test_wrapped_vae_inside_an_image_to_video_node(server):
    """WanImageToVideo encodes by itself; the exact engine gives it stock's latent."""
    latents, logged = {}, len(server.log)
    for kind in ("vae", "truetile_vae"):
        graph = Graph()
        image = graph.add("ProbeFrames", frames=1, height=112, width=208)[0]
        text = graph.add("ProbeConditioning")[0]
        video = graph.add(
            "WanImageToVideo", positive=text, negative=text, vae=getattr(graph, kind)(),
            width=208, height=112, length=33, batch_size=1, start_image=image,
        )  # fmt: skip
        inner = graph.add("ProbeConcatLatent", conditioning=video[0])[0]
        graph.save(kind, samples=inner)
        server.run(graph.prompt)
        latents[kind] = saved(server, kind)
    assert latents["vae"].shape == latents["truetile_vae"].shape == (1, 16, 9, 14, 26)
    difference = (latents["vae"] - latents["truetile_vae"]).abs().max()
    assert difference <= 1e-4 * latents["vae"].abs().max()
    assert "encode: Wan 2.1" in server.log[logged:]
