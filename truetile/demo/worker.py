"""One method on one subject in a process of its own, so that its peak memory is its own.

Imported by the server that forks these processes, hence the heavy imports come first.
"""

from __future__ import annotations

import traceback
from functools import partial
from multiprocessing.connection import Connection

import numpy as np
import torch
from diffusers import AutoencoderKLWan  # noqa: F401 (imported once, before the fork)

from .. import native
from ..engine.memory import is_out_of_memory
from ..errors import BudgetError, InvalidArgument, LadderExhausted
from . import methods
from .job import Job
from .peak import PeakMeter
from .port import DemoPort
from .vae import load_demo_vae

METHODS = {
    "untiled": lambda budget: methods.untiled,
    "classic": lambda budget: partial(methods.classic, budget=budget, cut_time=True),
    "classic whole": lambda budget: partial(methods.classic, budget=budget, cut_time=False),
    "truetile": lambda budget: partial(methods.truetile, budget=budget),
}
# Large enough for every layer, small enough to leave no mark on the peak.
_WARM_UP = 64


def main(job: Job, connection: Connection) -> None:
    """Sends ("progress", share), then ("done", dict) or ("failed", kind, text)."""
    try:
        connection.send(("done", run(job, lambda share: connection.send(("progress", share)))))
    except (BudgetError, InvalidArgument) as error:
        connection.send(("failed", type(error).__name__, str(error)))
    except Exception as error:
        memory = is_out_of_memory(error) or isinstance(error, LadderExhausted)
        kind = "memory" if memory else "bug"
        connection.send(("failed", kind, traceback.format_exc()))
    finally:
        connection.close()


def run(job: Job, progress: methods.Progress) -> dict:
    """Does the job; returns its numbers. The picture goes to `job.result`."""
    torch.set_num_threads(job.threads)
    pixels = torch.from_numpy(np.load(job.subject))[None]
    device = torch.device(job.device)
    port = DemoPort(load_demo_vae(job.vae).to(device), pixels.shape[1:4])
    method = METHODS[job.method](job.budget)
    with torch.inference_mode():
        _warm_up(port)
        with PeakMeter(device) as peak:
            trip = method(port, pixels, progress)
    np.save(job.result, trip.pixels.numpy())
    return {
        "method": job.method,
        "plan": trip.plan,
        "claim": trip.claim,
        "encode_seconds": trip.encode_seconds,
        "decode_seconds": trip.decode_seconds,
        "peak_bytes": peak.bytes,
        "calls": trip.calls,
        "work": trip.work,
        "borders": trip.borders,
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
        "kernels": native.why_twin(device.type) or "native",
    }


def _warm_up(port: DemoPort) -> None:
    """Libraries and kernels that the first call loads belong to no method."""
    raw = torch.zeros(1, port.pixel_channels, 1, _WARM_UP, _WARM_UP)
    port.decode(port.encode(raw.to(port.device, port.dtype)))
