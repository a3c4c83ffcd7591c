"""Workflows of every format, small enough to read."""

from __future__ import annotations

import copy
from typing import Any

TYPES = {  # type: ({input: type}, [output types], [widget values])
    "CheckpointLoaderSimple": ({}, ["MODEL", "CLIP", "VAE"], ["model.safetensors"]),
    "VAELoader": ({}, ["VAE"], ["vae.safetensors"]),
    "LoadImage": ({}, ["IMAGE", "MASK"], ["example.png", "image"]),
    "EmptyLatentImage": ({}, ["LATENT"], [512, 512, 1]),
    "CLIPTextEncode": ({"clip": "CLIP"}, ["CONDITIONING"], ["a raccoon"]),
    "KSampler": (
        {"model": "MODEL", "positive": "CONDITIONING", "negative": "CONDITIONING",
         "latent_image": "LATENT"},
        ["LATENT"], [18446744073709551615, "fixed", 20, 8.0, "euler", "normal", 1.0],
    ),
    "VAEEncode": ({"pixels": "IMAGE", "vae": "VAE"}, ["LATENT"], []),
    "VAEEncodeTiled": ({"pixels": "IMAGE", "vae": "VAE"}, ["LATENT"], [512, 128, 64, 8]),
    "VAEDecode": ({"samples": "LATENT", "vae": "VAE"}, ["IMAGE"], []),
    "VAEDecodeTiled": ({"samples": "LATENT", "vae": "VAE"}, ["IMAGE"], [768, 96, 32, 4]),
    "VHS_VAEDecodeBatched": ({"samples": "LATENT", "vae": "VAE"}, ["IMAGE"], [16]),
    "VAEDecodeAudio": ({"samples": "LATENT", "vae": "VAE"}, ["AUDIO"], []),
    "Reroute": ({"": "*"}, ["*"], []),
    "PrimitiveNode": ({}, ["INT"], [640, "fixed"]),
    "SaveImage": ({"images": "IMAGE"}, [], ["ComfyUI"]),
    "MarkdownNote": ({}, [], ["# note"]),
}  # fmt: skip
WIDGETS = {
    "VAEDecodeTiled": ["tile_size", "overlap", "temporal_size", "temporal_overlap"],
    "VHS_VAEDecodeBatched": ["per_batch"],
}


class Ui:
    """Builds one graph node by node; `links` are arrays (0.4) or objects (1.0, subgraphs)."""

    def __init__(self, objects: bool = False, first_id: int = 1) -> None:
        self.nodes: list[dict[str, Any]] = []
        self.links: list[Any] = []
        self.objects = objects
        self.next = first_id

    def add(self, kind: str, **more: Any) -> int:
        inputs, outputs, values = TYPES.get(kind, ({}, [], []))
        count = len(self.nodes)
        node = {
            "id": self.next,
            "type": kind,
            "pos": [300 * count, 40 * (count % 3)],
            "size": [210, 46],
            "flags": {},
            "order": count,
            "mode": 0,
            "inputs": [{"name": n, "type": t, "link": None} for n, t in inputs.items()],
            "outputs": [{"name": t, "type": t, "links": []} for t in outputs],
            "properties": {"Node name for S&R": kind, "cnr_id": "comfy-core", "ver": "0.3.40"},
            "widgets_values": copy.deepcopy(values),
            **more,
        }
        self.nodes.append(node)
        self.next += 1
        return node["id"]

    def node(self, node_id: int) -> dict[str, Any]:
        return next(node for node in self.nodes if node["id"] == node_id)

    def link(self, source: int, slot: int, target: int, name: str) -> int:
        """From an output to an input by name; gives the link's id."""
        inputs = self.node(target)["inputs"]
        index = next(i for i, entry in enumerate(inputs) if entry["name"] == name)
        output = self.node(source)["outputs"][slot]
        number = len(self.links) + 1
        self.row(number, source, slot, target, index, output["type"])
        inputs[index]["link"] = number
        output["links"].append(number)
        return number

    def row(self, number: int, *ends: Any) -> None:
        names = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
        values = (number, *ends)
        row = dict(zip(names, values, strict=True)) if self.objects else list(values)
        self.links.append(row)

    def document(self, **more: Any) -> dict[str, Any]:
        head = {"id": "2c2a9e3e-0000-4000-8000-000000000001", "revision": 0}
        if self.objects:
            state = {"lastNodeId": self.next - 1, "lastLinkId": len(self.links), "lastGroupId": 0}
            head |= {"version": 1, "state": {**state, "lastRerouteId": 0}}
        else:
            head |= {"last_node_id": self.next - 1, "last_link_id": len(self.links)}
        body = {"nodes": self.nodes, "links": self.links, "groups": [], "config": {}}
        tail = {} if self.objects else {"version": 0.4}
        return {**head, **body, "extra": {"ds": {"scale": 0.75}}, **tail, **more}


def text_to_image(
    objects: bool = False, decode: str = "VAEDecode", encode: str = "EmptyLatentImage"
) -> Ui:
    """Loader, two prompts, a sampler, a decode, a save; with an encode instead of an empty latent
    where `encode` is one."""
    ui = Ui(objects)
    loader = ui.add("CheckpointLoaderSimple")
    good, bad = ui.add("CLIPTextEncode"), ui.add("CLIPTextEncode")
    if "Encode" in encode:
        latent = ui.add(encode)
        ui.link(ui.add("LoadImage"), 0, latent, "pixels")
        ui.link(loader, 2, latent, "vae")
    else:
        latent = ui.add(encode)
    sampler, decoded, save = ui.add("KSampler"), ui.add(decode), ui.add("SaveImage")
    for text in (good, bad):
        ui.link(loader, 1, text, "clip")
    ui.link(loader, 0, sampler, "model")
    ui.link(good, 0, sampler, "positive")
    ui.link(bad, 0, sampler, "negative")
    ui.link(latent, 0, sampler, "latent_image")
    ui.link(sampler, 0, decoded, "samples")
    ui.link(loader, 2, decoded, "vae")
    ui.link(decoded, 0, save, "images")
    return ui


def with_subgraph(objects: bool = False) -> dict[str, Any]:
    """A graph with two instances of a subgraph that decodes, and that nests one that encodes."""
    inner_id, outer_id = "11111111-aaaa-4000-8000-000000000000", "2222-bbbb"
    inner = _subgraph(inner_id, "Encode", "VAEEncode", "pixels", "IMAGE", "LATENT", 20)
    outer = _subgraph(outer_id, "Decode", "VAEDecodeTiled", "samples", "LATENT", "IMAGE", 30)
    outer["definitions"] = {"subgraphs": [inner]}
    ui = Ui(objects)
    loader = ui.add("CheckpointLoaderSimple")
    for _ in range(2):
        latent, save = ui.add("EmptyLatentImage"), ui.add("SaveImage")
        slots = [("samples", "LATENT"), ("vae", "VAE")]
        instance = ui.add(
            outer_id,
            inputs=[{"name": name, "type": kind, "link": None} for name, kind in slots],
            outputs=[{"name": "IMAGE", "type": "IMAGE", "links": []}],
            widgets_values=[],
        )
        ui.link(latent, 0, instance, "samples")
        ui.link(loader, 2, instance, "vae")
        ui.link(instance, 0, save, "images")
    return ui.document(definitions={"subgraphs": [outer]})


def _subgraph(
    name: str, title: str, kind: str, socket: str, given: str, made: str, first_id: int
) -> dict[str, Any]:
    ui = Ui(objects=True, first_id=first_id)
    node = ui.add(kind)
    ui.row(1, -10, 0, node, 0, given)
    ui.row(2, -10, 1, node, 1, "VAE")
    ui.row(3, node, 0, -20, 0, made)
    for slot, number in enumerate((1, 2)):
        ui.node(node)["inputs"][slot]["link"] = number
    ui.node(node)["outputs"][0]["links"] = [3]
    return ui.document(
        id=name,
        name=title,
        inputNode={"id": -10, "bounding": [-300, 0, 120, 80]},
        outputNode={"id": -20, "bounding": [600, 0, 120, 60]},
        inputs=[
            {"id": f"{name}-0", "name": socket, "type": given, "linkIds": [1]},
            {"id": f"{name}-1", "name": "vae", "type": "VAE", "linkIds": [2]},
        ],
        outputs=[{"id": f"{name}-2", "name": made, "type": made, "linkIds": [3]}],
        widgets=[],
    )


def api_prompt(decode: str = "VAEDecode", **values: Any) -> dict[str, Any]:
    def node(kind: str, **inputs: Any) -> dict[str, Any]:
        return {"inputs": inputs, "class_type": kind, "_meta": {"title": kind}}

    return {
        "4": node("CheckpointLoaderSimple", ckpt_name="model.safetensors"),
        "5": node("EmptyLatentImage", width=512, height=512, batch_size=1),
        "6": node("CLIPTextEncode", text="a raccoon", clip=["4", 1]),
        "7": node("CLIPTextEncode", text="", clip=["4", 1]),
        "3": node(
            "KSampler", seed=1, steps=20, cfg=8.0, sampler_name="euler", scheduler="normal",
            denoise=1.0, model=["4", 0], positive=["6", 0], negative=["7", 0],
            latent_image=["5", 0],
        ),
        "8:2": node(decode, **{"samples": ["3", 0], "vae": ["4", 2], **values}),
        "9": node("SaveImage", filename_prefix="ComfyUI", images=["8:2", 0]),
    }  # fmt: skip


def graphs(document: dict[str, Any]):
    """The outermost graph and all definitions."""
    yield document
    for inner in (document.get("definitions") or {}).get("subgraphs") or []:
        yield from graphs(inner)


def all_nodes(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [node for graph in graphs(document) for node in graph["nodes"]]
