"""Says what TrueTile found on this machine: native libraries or why not, torch, devices."""

from __future__ import annotations

import argparse
import platform

from .. import __version__

HELP = "what was found: native libraries, torch, devices"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The doctor takes no arguments."""


def run(args: argparse.Namespace) -> int:
    """Prints the findings; 1 where torch is missing, since nothing works then."""
    print(f"truetile {__version__}")
    print(f"python {platform.python_version()}, {platform.platform()}")
    works = _torch()
    _native(works)
    return 0 if works else 1


def _torch() -> bool:
    try:
        import torch
    except ImportError as error:
        print(f"torch: missing ({error})")
        return False
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    for index in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(index)
        memory = device.total_memory / 2**30
        print(f"  cuda:{index}: {device.name}, {memory:.1f} GiB")
    if not torch.cuda.is_available():
        built = "none is visible" if torch.version.cuda else "this torch is built without CUDA"
        print(f"  no CUDA device: {built}")
        return True
    from ..memory import allocator, torch_stats

    print(allocator.settings(torch_stats.backend()))
    # ComfyUI sets the variable itself before torch starts: only its own process can tell.
    print("  of this process; in ComfyUI the first report of a MemoryCheckpoint says its own")
    return True


def _native(with_torch: bool) -> None:
    from .. import native, plan
    from ..native import locate

    found = {locate.CORE: plan.BACKEND == "native"}
    why = locate.reasons()
    if with_torch:
        libraries = native.status()
        libraries.pop("calls")
        found |= {name: entry["available"] for name, entry in libraries.items()}
        why |= {name: entry["reason"] for name, entry in libraries.items() if entry["reason"]}
    for name, good in found.items():
        path = locate.library(name) if good else None
        print(f"{name}: {path}" if good else f"{name}: not used, {why.get(name, 'not found')}")
    if not all(found.values()):
        print("What is not native runs as plain Python and torch, with the same results.")
