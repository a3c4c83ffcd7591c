"""API-format prompts, small enough to read, and the files that they leave."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from server import ComfyServer

VAE_NAME = "demo_vae.safetensors"
# The blended engine's tiles for tests: small enough to need several on a small picture.
TILES = {"tile_size": 96, "overlap": 32, "temporal_size": 8, "temporal_overlap": 4}


class Graph:
    """Builds a prompt node by node: `add` gives a handle whose [n] is output n."""

    def __init__(self) -> None:
        self.prompt: dict[str, dict] = {}

    def add(self, class_type: str, **inputs) -> _Node:
        name = str(len(self.prompt) + 1)
        self.prompt[name] = {"class_type": class_type, "inputs": inputs}
        return _Node(name)

    def vae(self) -> list:
        return self.add("VAELoader", vae_name=VAE_NAME)[0]

    def truetile_vae(self, **settings) -> list:
        return self.add("TrueTileVAE", vae=self.vae(), **settings_of(settings))[0]

    def save(self, name: str, **what) -> None:
        """Keeps images= or samples= as they are under `name`; `saved` reads it."""
        self.add("ProbeSave", name=name, **what)


class _Node:
    def __init__(self, name: str) -> None:
        self.name = name

    def __getitem__(self, output: int) -> list:
        return [self.name, output]


def settings_of(changes: dict) -> dict:
    """All settings of a TrueTile node; an API prompt must name every required input."""
    usual = {"mode": "auto", "budget_gib": 0.0, "tile_size": 512, "overlap": 64}
    return {**usual, "temporal_size": 64, "temporal_overlap": 8, **changes}


def saved(server: ComfyServer, name: str) -> torch.Tensor:
    return load_file(server.base / "output" / f"{name}.safetensors")["tensor"]


def picture(path: Path) -> np.ndarray:
    """[H, W, C] of a PNG, 0 to 255."""
    return np.asarray(Image.open(path).convert("RGB")).astype(np.int32)


def give_latent(server: ComfyServer, name: str, latent: torch.Tensor) -> str:
    """Puts a latent where LoadLatent finds it; gives its name there."""
    tensors = {"latent_tensor": latent.contiguous(), "latent_format_version_0": torch.tensor([])}
    save_file(tensors, server.base / "input" / f"{name}.latent")
    return f"{name}.latent"


def smooth_latent(*shape: int, seed: int = 0) -> torch.Tensor:
    """A latent [1, 16, t, h, w] with structure of several sizes, unit scale."""
    random = torch.Generator().manual_seed(seed)
    channels, t, h, w = shape
    coarse = torch.randn((1, channels, t, max(2, h // 4), max(2, w // 4)), generator=random)
    smooth = torch.nn.functional.interpolate(coarse, (t, h, w), mode="trilinear")
    return smooth + 0.2 * torch.randn((1, channels, t, h, w), generator=random)
