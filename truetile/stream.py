"""Streaming plans of the exact engine; see truetile/native/stream.

The C++ core where it is found, else the Python twin of the same names; BACKEND says which.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import plan
from .native import locate
from .plan import Span

__all__ = [
    "BACKEND",
    "AttentionWay",
    "AxisRule",
    "Handover",
    "LayerFrames",
    "LayerKind",
    "LayerRows",
    "Schedule",
    "Segment",
    "Shuffle",
    "Span",
    "Speed",
    "StreamLayer",
    "StreamPlan",
    "StripRows",
    "TimeRule",
    "ValueRows",
    "attention_bytes",
    "attention_choices",
    "attention_piece",
    "attention_rows",
    "candidates",
    "choose_plan",
    "cuts",
    "frames_read",
    "make_passes",
    "outside_reads",
    "pass_targets",
    "plan_bytes",
    "value_sizes",
]

_NAMES = [name for name in __all__ if name not in ("BACKEND", "Span")]
# Its spans are those of the plan: both native, or neither.
_core = locate.complete(locate.core() if plan.BACKEND == "native" else None, _NAMES)
BACKEND = "python" if _core is None else "native"

if TYPE_CHECKING or _core is None:
    from .native.stream import (
        AttentionWay,
        AxisRule,
        Handover,
        LayerFrames,
        LayerKind,
        LayerRows,
        Schedule,
        Segment,
        Shuffle,
        Speed,
        StreamLayer,
        StreamPlan,
        StripRows,
        TimeRule,
        ValueRows,
        attention_bytes,
        attention_choices,
        attention_piece,
        attention_rows,
        candidates,
        choose_plan,
        cuts,
        frames_read,
        make_passes,
        outside_reads,
        pass_targets,
        plan_bytes,
        value_sizes,
    )
else:
    globals().update({name: getattr(_core, name) for name in _NAMES})
