"""Score the demo VAE on pictures and clips: PSNR of the float32 round trip.

python tools/demo_score.py assets/demo_vae.safetensors assets build/demo_data/eval
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageSequence

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from truetile.demo.vae import load_demo_vae

SUFFIXES = {".jpg", ".png", ".webp"}


def read_clip(path: Path, frames: int = 17) -> torch.Tensor:
    """Return (1, 3, T, H, W) in [0, 1], cut to whole 8x8 cells; a picture is a clip of one."""
    with Image.open(path) as image:
        pages = [np.array(p.convert("RGB")) for p in ImageSequence.Iterator(image)][:frames]
    clip = torch.from_numpy(np.stack(pages)).permute(3, 0, 1, 2)[None].float() / 255
    return clip[..., : clip.shape[-2] // 8 * 8, : clip.shape[-1] // 8 * 8]


@torch.no_grad()
def round_trip(vae, clip: torch.Tensor) -> torch.Tensor:
    """Encode and decode a [0, 1] clip."""
    latent = vae.encode(clip * 2 - 1).latent_dist.mode()
    return (vae.decode(latent).sample + 1) / 2


def score(weights: Path, folders: list[Path], device: torch.device) -> Iterator[str]:
    """Yield one line per picture or clip."""
    tf32 = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        vae = load_demo_vae(weights).to(device)
        for path in sorted(p for f in folders for p in f.iterdir() if p.suffix in SUFFIXES):
            clip = read_clip(path).to(device)
            latent = vae.encode(clip * 2 - 1).latent_dist.mode()
            mse = (round_trip(vae, clip) - clip).square().mean()
            size = "x".join(str(n) for n in clip.shape[2:])
            yield (
                f"{path.name} {size}: {-10 * mse.log10():.2f} dB, "
                f"latents mean {latent.mean():.2f} deviation {latent.std():.2f}"
            )
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = tf32


def main() -> None:
    """Parse the command line and print the scores."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    for line in score(args.weights, args.folders, device):
        print(line)


if __name__ == "__main__":
    main()
