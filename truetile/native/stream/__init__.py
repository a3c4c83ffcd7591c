"""Streaming plans in plain Python: what truetile.stream uses where the native core is missing.

The same names, attributes, results and messages as csrc/core/stream. Sizes are (frames, rows,
columns, channels).
"""

from ..grid import Span
from .attention import (
    AttentionWay,
    attention_bytes,
    attention_choices,
    attention_piece,
    attention_rows,
)
from .costs import Speed, StreamPlan
from .frames import FramePlan, LayerFrames
from .handover import Handover
from .layer import AxisRule, LayerKind, StreamLayer
from .passes import make_passes, outside_reads, pass_targets, plan_bytes
from .placement import Buffer, Placement, place
from .plan import candidates, choose_plan, cuts
from .rows import LayerRows, RowPlan, StripRows, ValueRows
from .schedule import Schedule, Segment
from .shuffle import Shuffle, TimeRule, frames_read
from .values import value_sizes

__all__ = [
    "AttentionWay",
    "AxisRule",
    "Buffer",
    "FramePlan",
    "Handover",
    "LayerFrames",
    "LayerKind",
    "LayerRows",
    "Placement",
    "RowPlan",
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
    "place",
    "plan_bytes",
    "value_sizes",
]
