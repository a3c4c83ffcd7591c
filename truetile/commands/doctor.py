"""Says what is here of what TrueTile can use, what is missing, and how to get it."""

from __future__ import annotations

import argparse
import platform

from .. import __version__
from ..watch import arguments
from ..watch.client import DEFAULT_URL, Client, Refused, ServerSilent

ROUTE = "/truetile/memory/allocator"
HELP = "what was found, what is missing and how to get it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `truetile doctor`."""
    about = f"also the allocator settings in force in a running ComfyUI ({DEFAULT_URL})"
    kind = arguments.client
    parser.add_argument(
        "--server", nargs="?", const=DEFAULT_URL, type=kind, metavar="URL", help=about
    )


def run(args: argparse.Namespace) -> int:
    """Prints the findings; 1 where torch is missing or the server asked for does not tell."""
    from .. import health

    print(f"truetile {__version__} in {health.PACK}")
    print(f"python {platform.python_version()}, {platform.platform()}")
    works = _torch()
    found = list(health.libraries(works))
    print("\n".join(map(str, found)))
    if not all(finding.found for finding in found):
        print("What is not native runs as plain Python and torch, with the same results.")
    print(health.comfyui())
    print(health.demo())
    told = args.server is None or _server(args.server)
    return 0 if works and told else 1


def _server(client: Client) -> bool:
    """What ComfyUI's own process says: it changes the settings before torch starts."""
    try:
        found = client.post(ROUTE, {})
    except ServerSilent as error:
        print(f"ComfyUI: {error}")
        return False
    except Refused as error:
        absent = error.status in (404, 405)
        why = "this ComfyUI has no TrueTile nodes that can tell" if absent else str(error)
        print(f"ComfyUI at {client.url}: {why}")
        return False
    print(f"ComfyUI at {client.url}: {found['device']}")
    print("\n".join(f"  {line}" for line in found["text"].splitlines()))
    return True


def _torch() -> bool:
    try:
        import torch
    except ImportError as error:
        print(f"torch: missing ({error})")
        print("  to get it: run this in the Python that runs ComfyUI, which brings torch")
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
    print("  of this process; `truetile doctor --server` says those of a running ComfyUI")
    return True
