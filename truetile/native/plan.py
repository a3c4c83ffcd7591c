"""Planning in plain Python: what truetile.plan uses where the native core is missing.

The same names, attributes, results and messages as the C++ core (csrc/core), and the oracle of its
tests. Triples are (t, y, x); sizes are latents unless a name says otherwise.
"""

from .cost import CostModel, format_bytes
from .frame import Level
from .grid import AxisScale, AxisTile, Span, axis_tiles, axis_weights, chunk_grid, even_grid
from .ladder import Ladder
from .rungs import LadderOptions, Rung, choose_rung, make_rungs, rung_bytes
from .step import RungCount, Step

__all__ = [
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
