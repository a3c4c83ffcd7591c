"""Train the embedded demo VAE: Wan 2.1's architecture, 16 channels wide, on a few photographs.

    python tools/train_demo_vae.py --data auto --out assets/demo_vae.safetensors \
        --minutes 7 --seed 0

``--data auto`` first collects the photographs (tools/demo_data.py). One GPU trains it in minutes;
``--steps`` and ``--pixels`` make a CPU run small. The clock decides how many steps a run takes and
GPU convolutions add in varying order, so equal seeds give equal batches, not equal bits.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path

import torch
from demo_clips import ClipSampler
from demo_score import score
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from truetile.demo.vae import load_demo_vae, new_demo_vae, to_wan_state_dict, wan_key

# (frames, size, share of the steps). Large stills teach the attention of the middle block what a
# whole picture looks like; 9 and 17 frames fill every causal cache.
MODES = ((1, 256, 0.3), (1, 512, 0.1), (5, 128, 0.2), (9, 192, 0.2), (17, 128, 0.2))
SPREAD = 0.03  # standard deviation of the noise on latents of unit scale
WARMUP, EMA = 200, 0.998


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


def initialise(vae) -> None:
    """Let the signal pass at its own scale, each block near identity, each frame by itself.

    PyTorch's default shrinks what passes the layers outside the residual blocks until the decoder
    sees nothing; with this start the first hundred steps already show pictures.
    """
    for name, module in vae.named_modules():
        if not isinstance(module, (torch.nn.Conv2d, torch.nn.Conv3d)):
            continue
        taps = module.weight.shape[2] if module.weight.dim() == 5 else 1
        torch.nn.init.normal_(module.weight, std=(taps / module.weight[0].numel()) ** 0.5)
        torch.nn.init.zeros_(module.bias)
        with torch.no_grad():
            if taps > 1:
                module.weight[:, :, :-1] *= 0.1  # the last tap is the present frame
            if name.endswith((".conv2", ".proj")):  # where a residual branch ends
                module.weight *= 0.1


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


def write(state: dict[str, torch.Tensor], path: Path) -> None:
    """Write weights as float16: finer than bfloat16, and their range is small."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {name: w.half().contiguous().cpu() for name, w in state.items()}
    save_file(state, str(path), metadata={"format": "pt"})


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


def learning_rate(peak: float, step: int, done: float) -> float:
    """Warm up over ``WARMUP`` steps, then follow half a cosine down to zero."""
    return peak * min(1, (step + 1) / WARMUP) * (0.5 + 0.5 * math.cos(math.pi * done))


def prepare(args: argparse.Namespace, device: torch.device) -> tuple[Weights, list[Step]]:
    """Build the model, its weights and one step per mode."""
    torch.manual_seed(args.seed)
    if args.resume:
        vae = load_demo_vae(args.resume).requires_grad_(True)
    else:
        vae = new_demo_vae()
        initialise(vae)
    vae.to(device)
    weights = Weights(vae)
    pool = None
    if device.type == "cuda":
        # The masters stay float32.
        compute_in_bfloat16(vae)
        weights.own = [p.detach() for p in vae.parameters()]
        pool = torch.cuda.graph_pool_handle()
    steps = []
    for frames, size, _ in MODES:
        shape = (max(1, round(args.pixels / (frames * size * size))), frames, size)
        steps.append(Step(vae, weights.grads, shape, pool))
        print("ready:", " x ".join(str(n) for n in shape), flush=True)
    return weights, steps


def train(args: argparse.Namespace, data: Path) -> None:
    """Train for ``--steps`` or until the clock runs out; the file holds the averaged weights."""
    begin = time.monotonic()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cudnn.benchmark = True
    weights, steps = prepare(args, device)
    sampler = ClipSampler(data / "train", device, args.seed)
    choice = torch.Generator().manual_seed(args.seed)
    stills = sum(share for frames, _, share in MODES if frames == 1)
    shares = torch.tensor(
        [
            share * (args.stills / stills if frames == 1 else (1 - args.stills) / (1 - stills))
            for frames, _, share in MODES
        ]
    )
    step, shown, saved = 0, 0.0, 0.0
    errors: list[list[torch.Tensor]] = [[] for _ in MODES]
    while True:
        clock = time.monotonic() - begin
        done = step / args.steps if args.steps else clock / (args.minutes * 60)
        if done >= 1:
            break
        mode = int(torch.multinomial(shares, 1, generator=choice))
        errors[mode].append(steps[mode](sampler).clone())
        weights.update(step, learning_rate(args.lr, step, done))
        step += 1
        if device.type == "cuda" and step % 8 == 0:
            torch.cuda.synchronize()  # or the clock would run ahead of the queue
        if clock - shown >= args.every:
            shown = clock
            psnr = [10 * math.log10(4 / torch.stack(e).mean()) if e else 0.0 for e in errors]
            text = ", ".join(f"{m[0]}x{m[1]} {p:.2f}" for m, p in zip(MODES, psnr, strict=True))
            print(f"{clock:.0f} s, step {step}, training dB: {text}", flush=True)
            errors = [[] for _ in MODES]
        if clock - saved >= 60:
            saved = clock
            weights.save(args.out)
    weights.save(args.out)
    standardise(args.out, sampler)
    print(f"{step} steps in {time.monotonic() - begin:.1f} s on {device}", flush=True)
    if device.type == "cuda":
        print(torch.cuda.get_device_name(), f"{torch.cuda.max_memory_reserved() / 2**30:.1f} GiB")


def main() -> None:
    """Parse the command line, train, and score the saved file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="auto", help="folder of tools/demo_data.py, or auto")
    parser.add_argument("--out", type=Path, default=Path("assets/demo_vae.safetensors"))
    parser.add_argument("--minutes", type=float, default=7.0)
    parser.add_argument("--steps", type=int, default=0, help="a fixed number instead of minutes")
    parser.add_argument("--resume", type=Path, help="go on from this file's weights")
    parser.add_argument("--stills", type=float, default=0.4, help="share of the steps on stills")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--pixels", type=float, default=2**20, help="per step, over all frames")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between log lines")
    args = parser.parse_args()
    data = Path(args.data)
    if args.data == "auto":
        from demo_data import collect

        data = Path("build/demo_data")
        collect(data)
    train(args, data)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for line in score(args.out, [data / "eval"], torch.device(device)):
        print(line)


if __name__ == "__main__":
    main()
