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
from demo_step import Step, compute_in_bfloat16
from demo_weights import Weights, standardise

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from truetile.demo.vae import load_demo_vae, new_demo_vae

# (frames, size, share of the steps). Large stills teach the attention of the middle block what a
# whole picture looks like; 9 and 17 frames fill every causal cache.
MODES = ((1, 256, 0.3), (1, 512, 0.1), (5, 128, 0.2), (9, 192, 0.2), (17, 128, 0.2))
WARMUP = 200  # steps


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
