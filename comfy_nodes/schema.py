"""Inputs that the nodes share, with their limits and tooltips."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Any

from comfy_api.latest import io, ui

from ..truetile.settings import MODES
from . import host
from .service import Settings

CATEGORY = "TrueTile"


def settings_inputs() -> list[Any]:
    """mode, budget_gib, and the advanced sizes with the names and limits of VAEDecodeTiled."""
    usual = Settings()
    return [
        io.Combo.Input(
            "mode",
            options=list(MODES),
            default=usual.mode,
            tooltip="auto: exact where TrueTile knows the VAE's layers (SD 1.5, SDXL, SD3, Flux.1, "
            "Flux.2, Z-Image, Wan 2.1 and 2.2, Qwen-Image, HunyuanVideo 1.0 and 1.5), else one "
            "piece where it fits and blended tiles where not; the report says which and why. "
            "exact: equal to the untiled result up to rounding, or an error. blended: overlapping "
            "tiles with soft edges, for any VAE. untiled: in one piece, or an error.",
        ),
        io.Float.Input(
            "budget_gib",
            default=usual.budget_gib,
            min=0.0,
            max=1024.0,
            step=0.25,
            tooltip="Memory in GiB that the VAE may work with. Exact plans count its weights, "
            "tiles do not. 0: whatever is free.",
        ),
        _advanced_int(
            "tile_size", usual.tile_size, 64, 4096, 32,
            "Edge of a tile in pixels, where tiles are needed. Halved as often as memory demands.",
        ),
        _advanced_int(
            "overlap", usual.overlap, 0, 4096, 32,
            "Pixels by which neighbouring tiles overlap at least. At most a quarter of tile_size "
            "is used.",
        ),
        _advanced_int(
            "temporal_size", usual.temporal_size, 8, 4096, 4,
            "Only for video VAEs that must be cut in time: frames in one piece.",
        ),
        _advanced_int(
            "temporal_overlap", usual.temporal_overlap, 4, 4096, 4,
            "Only for video VAEs that must be cut in time: frames by which pieces overlap. At "
            "most half of temporal_size is used.",
        ),
    ]  # fmt: skip


def settings_of(values: dict[str, Any]) -> Settings:
    """The settings in a node's arguments; core's clamp on the overlaps is applied."""
    names = [field.name for field in fields(Settings)]
    return Settings(**{name: values[name] for name in names if name in values}).like_core()


def report_output(
    tooltip: str = "What was done, in how many tiles, how exactly and why.",
) -> Any:
    return io.String.Output(display_name="report", tooltip=tooltip)


def schema(**options: Any) -> io.Schema:
    """An io.Schema in TrueTile's category, without the options this ComfyUI does not know."""
    known = inspect.signature(io.Schema).parameters
    options = {name: value for name, value in options.items() if name in known}
    return io.Schema(category=CATEGORY, **options)


def output(*results: Any, report: str, picture: bytes | None = None) -> io.NodeOutput:
    """The node's results, the last of them the report, which also goes to the client.

    picture: a PNG to show on the node.
    """
    preview = getattr(ui, "PreviewText", None)
    shown = preview(report) if preview is not None else None
    if picture is not None:
        shown = {"text": (report,), "images": [host.save_preview(picture)], "animated": (False,)}
    return io.NodeOutput(*results, report, ui=shown)


def advanced(kind: Any) -> dict[str, bool]:
    """The option that folds an input away, where this ComfyUI knows it."""
    known = inspect.signature(kind.__init__).parameters
    return {"advanced": True} if "advanced" in known else {}


def _advanced_int(name: str, default: int, low: int, high: int, step: int, tooltip: str) -> Any:
    limits = {"default": default, "min": low, "max": high, "step": step}
    return io.Int.Input(name, tooltip=tooltip, **limits, **advanced(io.Int.Input))
