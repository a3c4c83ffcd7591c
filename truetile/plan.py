"""Planning: tile grids, byte estimates and the fallback ladder; see truetile/native/plan.py.

The C++ core where it is found, else the Python twin of the same names; BACKEND says which.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .native import locate

__all__ = [
    "BACKEND",
    "AxisScale",
    "AxisTile",
    "CostModel",
    "Ladder",
    "LadderOptions",
    "Level",
    "Rung",
    "RungCount",
    "Span",
    "Step",
    "axis_tiles",
    "axis_weights",
    "choose_rung",
    "chunk_grid",
    "even_grid",
    "format_bytes",
    "make_rungs",
    "rung_bytes",
]

_NAMES = [name for name in __all__ if name != "BACKEND"]
_core = locate.complete(locate.core(), _NAMES)
BACKEND = "python" if _core is None else "native"

if TYPE_CHECKING or _core is None:
    from .native.plan import (
        AxisScale,
        AxisTile,
        CostModel,
        Ladder,
        LadderOptions,
        Level,
        Rung,
        RungCount,
        Span,
        Step,
        axis_tiles,
        axis_weights,
        choose_rung,
        chunk_grid,
        even_grid,
        format_bytes,
        make_rungs,
        rung_bytes,
    )
else:
    globals().update({name: getattr(_core, name) for name in _NAMES})
