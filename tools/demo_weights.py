"""The demo VAE's weights: how they move in training, and how they are written down."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from demo_clips import ClipSampler
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from truetile.demo.vae import load_demo_vae, to_wan_state_dict, wan_key

EMA = 0.998  # share of the running average that a step keeps


class Weights:
    """Float32 masters of the module's weights, their optimizer, and their running average."""

    def __init__(self, vae) -> None:
        self.names = [wan_key(name) for name, _ in vae.named_parameters()]
        self.own = [p.detach() for p in vae.parameters()]  # what the module computes with
        self.master = [p.float().clone() for p in self.own]
        self.average = [p.clone() for p in self.master]
        for p in self.master:
            p.grad = torch.zeros_like(p)
        self.grads = [p.grad for p in self.master]
        cuda = self.own[0].is_cuda
        self.optimizer = torch.optim.AdamW(
            self.master, betas=(0.9, 0.99), weight_decay=0.0, fused=cuda
        )

    @torch.no_grad()
    def update(self, step: int, rate: float) -> None:
        """Take one optimizer step and hand the result to the module and to the average."""
        self.optimizer.param_groups[0]["lr"] = rate
        torch.nn.utils.clip_grad_norm_(self.master, 1.0)
        self.optimizer.step()
        torch._foreach_copy_(self.own, self.master)
        # The average forgets the first, wild steps sooner than its final pace would.
        torch._foreach_lerp_(self.average, self.master, 1 - min(EMA, (step + 1) / (step + 10)))

    def save(self, path: Path) -> None:
        """Write the average as float16 under the original key names."""
        if not all(w.isfinite().all() for w in self.average):
            raise FloatingPointError(f"weights are not finite; {path} keeps the last good ones")
        write(dict(zip(self.names, self.average, strict=True)), path)


@torch.no_grad()
def standardise(path: Path, sampler: ClipSampler) -> None:
    """Give the latents zero mean and unit deviation per channel, as samplers expect them.

    The affine map disappears into the two 1x1x1 convolutions beside the latent, so the round trip
    stays what it was.
    """
    device = sampler.atlas.device
    vae = load_demo_vae(path).to(device)
    batches = [sampler(8, frames, 192) for frames in (1, 1, 1, 5, 9)]
    latents = [vae.encode(clip).latent_dist.mode() for clip in batches]
    deviation, mean = torch.std_mean(
        torch.cat([z.transpose(0, 1).flatten(1) for z in latents], 1), 1
    )
    inner, outer, half = vae.quant_conv, vae.post_quant_conv, len(mean)
    outer.bias += outer.weight.flatten(1) @ mean
    outer.weight *= deviation.view(1, -1, 1, 1, 1)
    inner.bias[:half] = (inner.bias[:half] - mean) / deviation
    inner.weight[:half] /= deviation.view(-1, 1, 1, 1, 1)
    inner.bias[half:] -= 2 * deviation.log()
    write(to_wan_state_dict(vae), path)


def write(state: dict[str, torch.Tensor], path: Path) -> None:
    """Write weights as float16: finer than bfloat16, and their range is small."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {name: w.half().contiguous().cpu() for name, w in state.items()}
    save_file(state, str(path), metadata={"format": "pt"})
