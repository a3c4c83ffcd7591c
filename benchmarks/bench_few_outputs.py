"""A decoder's last convolution by `conv_few_outputs`, by cuDNN in blocks of pixels, and by cuDNN.

    PYTHONPATH=. python benchmarks/bench_few_outputs.py [--runs N]

Times are medians of CUDA event pairs around single calls, warm, after cuDNN has tried all of its
algorithms. GB/s counts the input and the output once.
Exits with 2 where there is no CUDA device, with 1 where the native library does not serve.
"""

from __future__ import annotations

import argparse
import sys

import torch
from cuda_timing import median_us

from truetile import native
from truetile.engine.blocked import block_weight
from truetile.engine.exact_layers import convolve
from truetile.engine.exact_weights import Packed
from truetile.native import locate
from truetile.stream import AxisRule, LayerKind, StreamLayer

THREE = AxisRule(3, 1, 1, 1)
# Frames, rows and columns of what is made, channels, taps in time: strips of Wan 480p and 720p,
# whole pictures of SDXL and Flux.
CASES = [
    ((12, 32, 832), 96, 3),
    ((12, 32, 1280), 96, 3),
    ((4, 64, 832), 96, 3),
    ((1, 1024, 1024), 128, 1),
    ((1, 2048, 2048), 128, 1),
    ((1, 128, 1024), 128, 1),
]


def times(
    frame: tuple[int, int, int], channels: int, taps_t: int, dtype: torch.dtype, runs: int
) -> tuple[float, float, float, int]:
    """Microseconds of the three, and the bytes that must move."""
    t, h, w = frame
    layer = StreamLayer(LayerKind.CONV, 0, channels, 3, -1, taps_t, THREE, THREE)
    x = torch.randn(t + taps_t - 1, h + 2, w + 2, channels, device="cuda").to(dtype)
    kernel = (3, 3, 3) if taps_t == 3 else (3, 3)
    form = torch.channels_last_3d if taps_t == 3 else torch.channels_last
    weight = torch.randn(3, channels, *kernel, device="cuda").to(dtype, memory_format=form)
    blocked = block_weight(weight, layer).contiguous(memory_format=form)
    with_blocks, without = (Packed(weight, *[None] * 6, blocked=one) for one in (blocked, None))
    own = median_us(lambda: convolve(x, without, layer), runs)
    with locate.without_native():
        in_blocks = median_us(lambda: convolve(x, with_blocks, layer), runs)
        plain = median_us(lambda: convolve(x, without, layer), runs)
    return own, in_blocks, plain, (x.numel() + t * h * w * 3) * x.element_size()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=50)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print(f"bench_few_outputs: no CUDA device: torch {torch.__version__} sees none")
        return 2
    device = torch.device("cuda")
    if reason := native.why_no_conv_few_outputs(device, torch.bfloat16, 96):
        print(f"bench_few_outputs: the native op does not serve: {reason}")
        return 1
    torch.backends.cudnn.benchmark, torch.backends.cudnn.benchmark_limit = True, 0
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}\n")
    print("| convolution | own µs | GB/s | blocks µs | cuDNN µs |\n|---|---:|---:|---:|---:|")
    for dtype in (torch.bfloat16, torch.float16):
        for frame, channels, taps_t in CASES:
            own, in_blocks, plain, size = times(frame, channels, taps_t, dtype, options.runs)
            name = f"{str(dtype).removeprefix('torch.')} {'x'.join(map(str, frame))}x{channels}"
            row = f"{own:.1f} | {size / own / 1e3:.0f} | {in_blocks:.1f} | {plain:.1f}"
            print(f"| {name}, {taps_t}x3x3 | {row} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
