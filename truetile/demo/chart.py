"""A line chart of the error of each frame, as inline SVG that follows the page's colours."""

from __future__ import annotations

from html import escape

import numpy as np

_WIDTH, _HEIGHT = 720, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 12, 30


def frame_chart(lines: dict[str, np.ndarray], cuts: dict[str, tuple[float, ...]]) -> str:
    """SVG of one line per method: mean absolute error (of 255) over the frame's number.

    `cuts`: frame positions at which a method begins anew; they are drawn as dashed verticals.
    """
    count = len(next(iter(lines.values())))
    top = max(1e-6, *(float(v.max()) for v in lines.values())) * 1.1

    def x(frame: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * frame / max(1, count - 1)

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * value / top

    parts = [
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        'aria-label="mean error of each frame">'
    ]
    for share in (0.0, 0.5, 1.0):
        value = top / 1.1 * share
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(value):.1f}" '
            f'y2="{y(value):.1f}"/><text x="{_LEFT - 6}" y="{y(value) + 4:.1f}" '
            f'text-anchor="end">{value:.2g}</text>'
        )
    for frame in range(0, count, max(1, (count - 1) // 8)):
        parts.append(
            f'<text x="{x(frame):.1f}" y="{_HEIGHT - 10}" text-anchor="middle">{frame}</text>'
        )
    for at in dict.fromkeys(cut for positions in cuts.values() for cut in positions):
        parts.append(
            f'<line class="cut" x1="{x(at - 0.5):.1f}" x2="{x(at - 0.5):.1f}" '
            f'y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>'
        )
    for number, (name, values) in enumerate(lines.items()):
        points = " ".join(f"{x(i):.1f},{y(float(v)):.1f}" for i, v in enumerate(values))
        parts.append(
            f'<polyline class="line line{number}" points="{points}"><title>{escape(name)}</title>'
            "</polyline>"
        )
    parts.append("</svg>")
    keys = "".join(
        f'<span class="key"><i class="swatch swatch{i}"></i>{escape(name)}</span>'
        for i, name in enumerate(lines)
    )
    return f'{"".join(parts)}<p class="keys">{keys}</p>'
