"""The exact engine on small cards, emulated on a large one: does it decode, and in what time?

    python benchmarks/bench_cards.py --comfyui DIR --out RESULTS [--only wan21] [--cards 8]

A ballast outside of torch takes what a card of that size lacks, so that the driver itself says how
little is free: to ComfyUI, to TrueTile and to the allocator. The card begins with its size less
0.5 GiB for the driver and a CUDA context. Everything else is in the rest: weights, workspaces of
libraries, kernels that are loaded on the way (also by cards before). Only the device's total stays
that of the large one; nothing here goes by it.

Each case runs without a budget, as on a user's card: once cold and once warm, which has the peaks.
`lowest free` is the least that the driver had left. All cards' results are compared with the first
one's, whose plan is another one: they differ by rounding only. Writes RESULTS.json and RESULTS.md
after each row. Without CUDA nothing is emulated: it only tries the script.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
from collections.abc import Iterator

import comfy_env
import torch
from bench_tiled import inputs
from bench_vae import measure
from comfy_cases import arguments, chosen, make_vae, name_of, save

CARDS = (16, 12, 8)  # GiB
CONTEXT = 512 << 20  # of a card: what the driver keeps, and a CUDA context
CASES = [
    # family, operation, height, width, frames, timed runs
    ("wan21", "decode", 720, 1280, 81, 1),
    ("hunyuan10", "decode", 480, 832, 129, 1),
    ("hunyuan15", "decode", 480, 832, 129, 1),
    ("sdxl", "decode", 8192, 8192, 0, 1),
]


class Driver:
    """What a process may take of a GPU is limited by an allocation that torch does not know."""

    def __init__(self) -> None:
        torch.zeros(1, device="cuda")  # makes the context, in which the driver allocates
        self._cuda = ctypes.CDLL("libcuda.so.1")
        self._cuda.cuMemAlloc_v2.argtypes = [ctypes.POINTER(ctypes.c_uint64), ctypes.c_size_t]
        self._cuda.cuMemFree_v2.argtypes = [ctypes.c_uint64]
        # Before any library is loaded: what they take is the card's matter.
        self._free = torch.cuda.mem_get_info()[0]

    @contextlib.contextmanager
    def card(self, gib: int) -> Iterator[None]:
        """Within it the device is a card of so many GiB."""
        ballast = self._free - ((gib << 30) - CONTEXT)
        if ballast < 0:
            raise SystemExit(f"--cards {gib}: this device has less")
        address = ctypes.c_uint64()
        gc.collect()
        torch.cuda.empty_cache()
        self._check(self._cuda.cuMemAlloc_v2(ctypes.byref(address), ballast))
        try:
            yield
        finally:
            self._check(self._cuda.cuMemFree_v2(address))

    def _check(self, code: int) -> None:
        if code:
            raise RuntimeError(f"the CUDA driver says {code}")


def lowest_free() -> int:
    """The least that the driver had left since the peaks were reset.

    Only torch gives memory back in a call, and that is counted.
    """
    given_back = torch.cuda.max_memory_reserved() - torch.cuda.memory_reserved()
    return torch.cuda.mem_get_info()[0] - given_back


def difference(result: torch.Tensor, other: torch.Tensor) -> dict:
    """Mean and maximum of the absolute difference, frame by frame: results are large."""
    means, most = [], 0.0
    for one, another in zip(result.flatten(0, -4), other.flatten(0, -4), strict=True):
        error = (one - another).abs()
        means.append(float(error.mean(dtype=torch.float64)))
        most = max(most, float(error.max()))
    return {"mean": sum(means) / len(means), "max": most}


def run_case(truetile, vae, case: tuple, other: torch.Tensor | None) -> tuple[dict, torch.Tensor]:
    """Figures of one case on the card as it is, and the result."""
    data, reports, frees = inputs(vae, *case[1:5]), [], []

    def ours() -> torch.Tensor:
        result, report = truetile.decode(vae, data, mode="exact")
        reports.append(report)
        if torch.cuda.is_available():
            frees.append(lowest_free())
        return result

    result, row = measure(ours, case[-1])
    row |= {"report": reports[-1].to_dict(), "cold_report": reports[0].to_dict()}
    row |= {"lowest_free": frees, "finite": bool(torch.isfinite(result).all())}
    if other is not None:
        row["against_first_card"] = difference(result, other)
    return row, result


def table(rows: list[dict]) -> str:
    lines = [
        "| work | card | cold | warm | allocated, reserved | lowest free | plan | result |",
        "|---" * 8 + "|",
    ]
    for row in rows:
        cells = [row["case"], f"{row['card']} GiB"]
        if "failed" in row:
            lines.append("| " + " | ".join([*cells, row["failed"], "", "", "", "", ""]) + " |")
            continue
        cells += [f"{row['cold']:.2f} s", f"{row['warm']:.2f} s"]
        if "allocated" in row:
            cells.append(f"{row['allocated'] / 2**30:.2f}, {row['reserved'] / 2**30:.2f} GiB")
            cells.append(f"{min(row['lowest_free']) / 2**30:.2f} GiB")
        else:
            cells += ["-", "-"]
        result = "finite" if row["finite"] else "NOT FINITE"
        if found := row.get("against_first_card"):
            result += f", mean difference {found['mean']:.1e}"
        plan = row["report"]["plan"]
        ran_out = row["report"]["why"].partition("; ")[2]  # memory ran out so many times
        cells += [f"{plan}; {ran_out}" if ran_out else plan, result]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


@torch.inference_mode()
def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--cards", default=",".join(map(str, CARDS)), help="GiB, comma separated")
    args = parser.parse_args()
    comfy_env.start(args.comfyui)
    driver = Driver() if torch.cuda.is_available() else None
    truetile = comfy_env.pack()
    rows = []
    print(table([]), flush=True)
    for case in chosen(args, CASES):
        vae = make_vae(args, case[0])
        first = None
        for gib in map(int, args.cards.split(",")):
            row = {"case": name_of(case), "card": gib}
            with driver.card(gib) if driver else contextlib.nullcontext():
                try:
                    figures, result = run_case(truetile, vae, case, first)
                    row |= figures
                    first = result if first is None else first
                    del result
                except Exception as error:  # a row of the table says why there is none
                    row["failed"] = f"{type(error).__name__}: {error}"[:400]
            rows.append(row)
            print(table(rows[-1:]).splitlines()[-1], flush=True)
            save(args.out, truetile, rows, table(rows))


if __name__ == "__main__":
    main()
