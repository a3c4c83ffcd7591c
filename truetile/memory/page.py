"""The timeline as one HTML file: a plot as inline SVG, phases, and the report. No outside files."""

from __future__ import annotations

from html import escape
from typing import Any

from .chart import GIB, LINES, chart, points
from .core import say_bytes

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 920, 320, 84, 26, 30
_STYLE = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1f2937;--dim:#6b7280;--rule:#e5e7eb;--band:#f3f4f6}
@media(prefers-color-scheme:dark){:root{--bg:#14171c;--fg:#e5e7eb;--dim:#9ca3af;--rule:#2d333b;
--band:#1c2129}}
body{margin:2rem auto;max-width:60rem;padding:0 1rem;background:var(--bg);color:var(--fg);
font:15px/1.5 system-ui,sans-serif}
svg{width:100%;height:auto}svg text{fill:var(--dim);font-size:12px}
.rule{stroke:var(--rule)}.band{fill:var(--band)}.line{fill:none;stroke-width:1.6}
ul{list-style:none;padding:0;display:flex;flex-wrap:wrap;gap:.3rem 1.4rem}
li i{display:inline-block;width:1.2rem;height:.25rem;margin-right:.5rem;vertical-align:middle}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%}
td,th{padding:.3rem .7rem;border-bottom:1px solid var(--rule);text-align:left}
pre{overflow-x:auto;padding:1rem;background:var(--band);font-size:13px}
"""


def html(timeline: dict[str, Any], text: str = "") -> str:
    """A page of `Monitor.timeline()`; `text` is shown below the plot as it is."""
    colours = "".join(f".{c}{{--c:{light}}}" for c, _, light, _ in LINES)
    dark = "".join(f".{c}{{--c:{shade}}}" for c, _, _, shade in LINES)
    style = f"{_STYLE}{colours}@media(prefers-color-scheme:dark){{{dark}}}"
    drawn = points(timeline)
    legend = "".join(
        f'<li><i class="{c}" style="background:var(--c)"></i>{title}</li>'
        for c, title, *_ in LINES
        if c in drawn
    )
    about = f"{timeline['device']}, allocator {timeline['allocator']}"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>TrueTile memory</title><style>{style}</style></head><body>"
        f"<h1>TrueTile memory</h1><p>{escape(about)}</p><ul>{legend}</ul>"
        f"{svg(timeline)}{_phases(timeline)}<pre>{escape(text)}</pre></body></html>\n"
    )


def svg(timeline: dict[str, Any]) -> str:
    """The plot: GiB over seconds, phases as bands, one line for each channel that was read."""
    drawn = chart(timeline)
    if drawn is None:
        return "<p>No reading was taken in this run.</p>"
    right, bottom = _WIDTH - 12, _HEIGHT - _BOTTOM

    def x(seconds: float) -> float:
        return _LEFT + (right - _LEFT) * seconds / drawn.end

    def y(count: float) -> float:
        return bottom - (bottom - _TOP) * count / drawn.top

    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="memory over time">']
    for i, phase in enumerate(drawn.phases):
        left, width = x(phase.begin), x(phase.end) - x(phase.begin)
        if i % 2 == 0:
            parts.append(_box(left, width, bottom - _TOP))
        if width > 40:
            name = phase.name[: int(width // 8)]
            parts.append(f'<text x="{left + 4:.1f}" y="{_TOP - 8}">{escape(name)}</text>')
    for mark in drawn.marks:
        height = y(mark * GIB)
        parts.append(f'<path class="rule" d="M{_LEFT} {height:.1f}H{right}"/>')
        parts.append(
            f'<text x="{_LEFT - 8}" y="{height + 4:.1f}" text-anchor="end">{mark:g} GiB</text>'
        )
    for channel, line in drawn.lines.items():
        path = "L".join(f"{x(s):.1f} {y(v):.1f}" for s, v in line)
        parts.append(f'<path class="line {channel}" style="stroke:var(--c)" d="M{path}"/>')
    parts.append(f'<text x="{_LEFT}" y="{_HEIGHT - 8}">0 s</text>')
    end = f"{drawn.end:.1f} s"
    parts.append(f'<text x="{right}" y="{_HEIGHT - 8}" text-anchor="end">{end}</text>')
    return "".join(parts) + "</svg>"


def sparkline(timeline: dict[str, Any], width: int = 48) -> str:
    """One line of text: the device's use over time, or main memory's; empty without readings."""
    drawn = points(timeline)
    for channel, title, *_ in LINES:
        if channel not in drawn:
            continue
        values = [value for _, value in drawn[channel]]
        low, high = min(values), max(values)
        size = max(1, -(-len(values) // width))
        peaks = [max(values[i : i + size]) for i in range(0, len(values), size)]
        bars = "".join("▁▂▃▄▅▆▇█"[round(7 * (p - low) / max(high - low, 1))] for p in peaks)
        return f"{bars}  {title}: {say_bytes(low)} to {say_bytes(high)}"
    return ""


def _phases(timeline: dict[str, Any]) -> str:
    rows = []
    for phase in timeline["phases"]:
        named = phase["channels"]
        peaks = [
            f"{title}: {say_bytes(named[c]['peak'])} ({named[c]['rank']})"
            for c, title, *_ in LINES
            if named[c]["peak"] is not None
        ]
        length = phase["end"] - phase["begin"]
        rows.append(
            f"<tr><td>{escape(phase['name'])}</td><td>{length:.2f} s</td>"
            f"<td>{'<br>'.join(map(escape, peaks))}</td></tr>"
        )
    if not rows:
        return ""
    head = "<tr><th>phase</th><th>time</th><th>peaks</th></tr>"
    return f'<div class="scroll"><table>{head}{"".join(rows)}</table></div>'


def _box(left: float, width: float, height: float) -> str:
    return f'<rect class="band" x="{left:.1f}" y="{_TOP}" width="{width:.1f}" height="{height}"/>'
