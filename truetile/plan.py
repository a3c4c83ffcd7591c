"""Planning: tile grids, byte estimates and the fallback ladder; see truetile/native/plan.py.

The C++ core where it is found, else the Python twin of the same names; BACKEND says which.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

from . import errors
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


def _share_errors(core: ModuleType) -> None:
    """Makes the core's exceptions ours."""
    for name in ("InvalidArgument", "BudgetError", "LadderExhausted"):
        ours, theirs = getattr(errors, name), getattr(core, name)
        # A second copy of this package in the process: what is raised must be both copies' error.
        if not issubclass(theirs, ours):
            both = ours if issubclass(ours, theirs) else type(name, (ours, theirs), {})
            setattr(core, name, both)


_core = locate.complete(locate.core(), _NAMES)
if _core is not None:
    _share_errors(_core)
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
