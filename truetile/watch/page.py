"""A recording as one HTML file without anything to load: a chart, a table, light and dark."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from html import escape

from ..native.memory import CHANNELS, Sample, say_bytes
from .record import Recording

TITLES = {
    "driver_used": "device, used",
    "own_process": "device, this command",
    "other_processes": "device, other processes",
    "torch_allocated": "torch, allocated",
    "torch_reserved": "torch, reserved",
    "ram": "main memory, this command",
}
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 960, 320, 80, 16, 14, 30
_POINTS = 900  # columns of the chart: more than that no screen shows
_STYLE = """
:root { color-scheme: light dark; --paper: #fbfaf8; --ink: #1c1e21; --soft: #5d636b;
  --line: #dcdad4; --c0: #0b6e75; --c1: #b4511d; --c2: #6a5aa8; --c3: #4d7c0f; --c4: #b91c5c;
  --c5: #1d4ed8; }
@media (prefers-color-scheme: dark) { :root { --paper: #15171a; --ink: #e8e6e1; --soft: #a0a6ae;
  --line: #33373d; --c0: #5cc4c9; --c1: #ef9a5f; --c2: #a99be6; --c3: #a3d160; --c4: #f38ab5;
  --c5: #8ab4f8; } }
body { margin: 0 auto; max-width: 1000px; padding: 32px 24px; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
code { overflow-wrap: anywhere; } .soft { color: var(--soft); }
svg { width: 100%; height: auto; } svg text { font-size: 12px; fill: var(--soft); }
.grid { stroke: var(--line); } .graph { fill: none; stroke-width: 1.8; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 5px 10px; border-top: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
i { display: inline-block; width: 18px; height: 3px; margin: 0 8px 4px 0; }
"""


def page(recording: Recording) -> str:
    """The whole file."""
    stats, channels = recording.phase, recording.channels()
    command = escape(shlex.join(recording.command))
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(recording.started_at))
    facts = (
        f"{began}, {stats.end - stats.begin:.1f} s, exit code {recording.exit_code}, "
        f"{stats.samples} samples, widest gap {stats.widest_gap * 1000:.0f} ms. "
        "Peaks are those of the samples: what is shorter than the gap can be missed."
    )
    rows = "".join(
        f'<tr><td><i style="background:var(--c{CHANNELS.index(name)})"></i>{TITLES[name]}</td>'
        f"<td>{say_bytes(entry['peak'])}</td><td>{entry['at']:.2f} s</td>"
        f"<td>{say_bytes(round(entry['mean']))}</td><td>{say_bytes(entry['minimum'])}</td></tr>"
        for name, entry in channels.items()
    )
    missing = "".join(
        f"<li>{TITLES[name]}: not available, {escape(why)}</li>"
        for name, why in recording.reasons.items()
    )
    device = f"<p>The device has {say_bytes(recording.total)}.</p>" if recording.total else ""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Memory of {command}</title><style>{_STYLE}</style></head><body>"
        f"<h1>Memory of a command</h1><p><code>{command}</code></p>"
        f'<p class="soft">{facts}</p>{chart(recording.samples, list(channels))}'
        "<table><tr><th></th><th>peak</th><th>at</th><th>mean</th><th>minimum</th></tr>"
        f'{rows}</table>{device}<ul class="soft">{missing}</ul></body></html>\n'
    )


def chart(samples: Sequence[Sample], names: Sequence[str]) -> str:
    """SVG of the named channels over time; where a reading is missing, its line has a gap."""
    lines = {name: _columns(samples, CHANNELS.index(name)) for name in names}
    values = [value for line in lines.values() for _, value in line if value is not None]
    top = max(values, default=0) * 1.05 or 1.0
    end = max((sample.seconds for sample in samples), default=0.0) or 1.0

    def x(seconds: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * seconds / end

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * value / top

    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="memory over time">']
    for share in range(5):
        value = top * share / 4
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(value):.1f}" '
            f'y2="{y(value):.1f}"/><text x="{_LEFT - 8}" y="{y(value) + 4:.1f}" '
            f'text-anchor="end">{say_bytes(int(value)) if share else "0"}</text>'
            f'<text x="{x(end * share / 4):.1f}" y="{_HEIGHT - 8}" '
            f'text-anchor="{"end" if share == 4 else "middle"}">{end * share / 4:.3g} s</text>'
        )
    for name, line in lines.items():
        path = _path([(x(at), None if value is None else y(value)) for at, value in line])
        colour = f"stroke:var(--c{CHANNELS.index(name)})"
        title = escape(TITLES[name])
        parts.append(
            f'<path class="graph" style="{colour}" d="{path}"><title>{title}</title></path>'
        )
    return "".join([*parts, "</svg>"])


def _columns(samples: Sequence[Sample], channel: int) -> list[tuple[float, int | None]]:
    """At most _POINTS points, each the largest of its share: a peak is never thinned away."""
    step = max(1, -(-len(samples) // _POINTS))
    points = []
    for start in range(0, len(samples), step):
        share = [s for s in samples[start : start + step] if s.values[channel] is not None]
        best = max(share, key=lambda sample: sample.values[channel], default=None)
        points.append(
            (samples[start].seconds, None) if best is None else (best.seconds, best.values[channel])
        )
    return points


def _path(points: Sequence[tuple[float, float | None]]) -> str:
    parts, down = [], False
    for x, y in points:
        if y is not None:
            parts.append(f"{'L' if down else 'M'}{x:.1f},{y:.1f}")
        down = y is not None
    return " ".join(parts)
