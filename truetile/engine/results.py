"""What both engines do alike for a request: the batch of its result, and words for its report."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from .. import native
from ..report import Report, human_bytes
from .output import HostBatch
from .ports import Affine

if TYPE_CHECKING:
    from ..settings import Hooks
    from .memory import PeakMark
    from .ports import VaePort

Reporter = Callable[["PeakMark", float], Report]  # of a finished request, and its seconds


def result_batch(
    port: VaePort, operation: str, items: int, size: tuple[int, int, int], hooks: Hooks
) -> HostBatch:
    """Where `items` results of `size` (frames, rows, columns) are written."""
    decoding = operation == "decode"
    return HostBatch(
        items,
        port.pixel_channels if decoding else port.latent_channels,
        size,
        dtype=hooks.out_dtype or torch.float32,
        device=port.device,
        channels_last=decoding,
        pin=hooks.pin,
    )


def tell_observer(
    port: VaePort,
    operation: str,
    batch: HostBatch,
    hooks: Hooks,
    plan_now: Callable[[], str],
    why: str,
) -> None:
    """Says that a request begins; a picture is shown where it is written in its last form."""
    if hooks.observer is not None:
        shown = operation == "decode" and isinstance(port.finish, Affine)
        hooks.observer.begun(plan_now, why, batch if shown else None)


def ran_out(falls: int) -> str:
    """`memory ran out 2 times`."""
    return f"memory ran out {falls} time{'s' if falls > 1 else ''}"


def overflowed(count: int, what: str) -> str:
    return f"{count} {what}(s) overflowed in half precision and were computed in float32"


def warnings_of(mark: PeakMark) -> list[str]:
    """What is missing of a measured peak, and of the native kernels."""
    texts = []
    if mark.peak_bytes() is None and mark.earlier_peak():
        earlier = human_bytes(mark.earlier_peak())
        texts.append(f"peak unknown: this process had a higher one before ({earlier})")
    if reason := native.why_twin(mark.device.type):
        texts.append(f"native kernels were not used: {reason}")
    return texts
