"""One training step of the demo VAE: a batch, its loss, and the gradients of that."""

from __future__ import annotations

import math

import torch
from demo_clips import ClipSampler

SPREAD = 0.03  # standard deviation of the noise on latents of unit scale


def decode(vae, z: torch.Tensor) -> torch.Tensor:
    """Decode as diffusers does, but without its clamp, which ends the gradient of overshoots."""
    vae.clear_cache()
    z = vae.post_quant_conv(z)
    out = []
    for i in range(z.shape[2]):
        vae._conv_idx = [0]
        out.append(
            vae.decoder(
                z[:, :, i : i + 1], feat_cache=vae._feat_map, feat_idx=vae._conv_idx,
                first_chunk=i == 0,
            )
        )  # fmt: skip
    vae.clear_cache()
    return torch.cat(out, 2)


def compute_in_bfloat16(vae) -> None:
    """Cast the module, its convolutions laid out channels last as tensor cores want them."""
    vae.to(torch.bfloat16)
    layouts = {4: torch.channels_last, 5: torch.channels_last_3d}
    for p in vae.parameters():
        p.data = p.data.contiguous(memory_format=layouts.get(p.dim(), torch.contiguous_format))


def loss_of(vae, clip: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the training loss and the mean squared error on a [-1, 1] signal."""
    latent = vae.encode(clip.to(vae.dtype)).latent_dist
    mean, logvar = latent.mean.float(), latent.logvar.float()
    noisy = mean + SPREAD * torch.randn_like(mean)
    error = decode(vae, noisy.to(vae.dtype)).float() - clip
    mse = error.square().mean()
    edges = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    # The noise pushes the latents apart and their power is dear, so they stay near unit scale;
    # ``standardise`` does the rest. The posterior's variance is the noise that training used.
    scale = mean.square().mean() + 10 * (logvar - 2 * math.log(SPREAD)).square().mean()
    return error.abs().mean() + 5 * mse + 0.2 * edges + 0.001 * scale, mse


class Step:
    """One mode's forward and backward pass; on CUDA a graph, as narrow layers wait for launches."""

    def __init__(self, vae, grads: list[torch.Tensor], shape: tuple, pool: object) -> None:
        self.vae, self.grads, self.shape = vae, grads, shape
        self.graph = None
        if vae.device.type != "cuda":
            return
        batch, frames, size = shape
        self.clip = torch.randn(batch, 3, frames, size, size, device=vae.device)
        self.clip = self.clip.to(memory_format=torch.channels_last_3d)
        self.mse = torch.zeros((), device=vae.device)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # cuDNN picks its algorithms here, outside the graph
            for _ in range(2):
                self._compute(self.clip)
        torch.cuda.current_stream().wait_stream(stream)
        torch.cuda.empty_cache()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool):
            self.mse.copy_(self._compute(self.clip))
        self.graph = graph

    def _compute(self, clip: torch.Tensor) -> torch.Tensor:
        loss, mse = loss_of(self.vae, clip)
        # A still never reaches the layers that halve and double time: their gradient is zero.
        grads = torch.autograd.grad(
            loss, list(self.vae.parameters()), allow_unused=True, materialize_grads=True
        )
        torch._foreach_copy_(self.grads, grads)
        return mse.detach()

    def __call__(self, sampler: ClipSampler) -> torch.Tensor:
        """Draw a batch, write the gradients, and return the mean squared error."""
        clip = sampler(*self.shape)
        if self.graph is None:
            return self._compute(clip)
        self.clip.copy_(clip)
        self.graph.replay()
        return self.mse
