"""A chart of grouped horizontal bars as inline SVG, in the colours of the page around it."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

_WIDTH, _LEFT, _RIGHT = 760, 236, 64
_BAR, _GAP, _HEAD = 15, 14, 34


@dataclass(frozen=True)
class Series:
    """A method: its name in the legend, and its colour, readable on white and on black."""

    name: str
    colour: str


@dataclass(frozen=True)
class Group:
    """One case: a value for each series of the chart, None where there is no figure."""

    name: str
    values: tuple[float | None, ...]


def bar_chart(title: str, series: tuple[Series, ...], groups: list[Group], digits: int = 2) -> str:
    """One block of SVG without blank lines, as Markdown needs it.

    Raises ValueError for a group that has not one value for each series.
    """
    wrong = [group.name for group in groups if len(group.values) != len(series)]
    if wrong:
        raise ValueError(f"groups={wrong}: must have {len(series)} values each")
    top = max(value for group in groups for value in group.values if value is not None)
    scale = (_WIDTH - _LEFT - _RIGHT) / top
    parts, y = [*_legend(series)], _HEAD
    for group in groups:
        middle = y + _BAR * len(series) / 2 + 4
        parts.append(_text(_LEFT - 10, middle, group.name, "end"))
        for index, value in enumerate(group.values):
            if value is not None:
                colour = series[index].colour
                parts += _bar(y + index * _BAR, value, value * scale, colour, digits)
        y += _BAR * len(series) + _GAP
    head = (
        f'<svg class="bars" viewBox="0 0 {_WIDTH} {y}" role="img" aria-label="{escape(title)}" '
        'style="width: 100%; font: 12px sans-serif" fill="currentColor">'
    )
    return "\n".join([head, *parts, "</svg>"])


def _legend(series: tuple[Series, ...]) -> list[str]:
    parts, x = [], float(_LEFT)
    for one in series:
        parts.append(f'<rect x="{x:.0f}" y="6" width="12" height="12" fill="{one.colour}"/>')
        parts.append(_text(x + 17, 16, one.name, "start"))
        x += 45 + 6.4 * len(one.name)
    return parts


def _bar(y: float, value: float, width: float, colour: str, digits: int) -> list[str]:
    width = max(1.0, width)
    return [
        f'<rect x="{_LEFT}" y="{y:.0f}" width="{width:.1f}" height="{_BAR - 3}" fill="{colour}"/>',
        _text(_LEFT + width + 5, y + _BAR - 5, f"{value:.{digits}f}", "start"),
    ]


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{escape(text)}</text>'
