"""The demo's report as one HTML file without external resources."""

from __future__ import annotations

import math
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from .. import __version__
from ..report import human_bytes
from . import words
from .bench import LABELS
from .chart import frame_chart

if TYPE_CHECKING:
    from .bench import Subject
    from .pictures import Detail, Pictures

_TEMPLATE = Path(__file__).with_name("page.html")
_COLUMNS = (
    ("method", ""),
    ("time", "encode + decode"),
    ("peak memory", "above the weights"),
    ("pieces", "work"),
    ("PSNR", "against untiled"),
    ("largest error", "of 255"),
    ("seam", "near / elsewhere"),
)


def render(
    subjects: list[tuple[Subject, Pictures]], budget: int, machine: list[tuple[str, str]]
) -> str:
    """The page of `subjects` measured under `budget` bytes; `machine` is shown at its foot."""
    facts = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in machine)
    glossary = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in words.GLOSSARY)
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        version=escape(__version__),
        headline=escape(words.headline([s for s, _ in subjects], budget)),
        introduction=escape(words.introduction(budget)),
        subjects="".join(_section(s, p, budget) for s, p in subjects),
        glossary=glossary,
        footer=f"<dl>{facts}</dl>",
    )


def _section(subject: Subject, pictures: Pictures, budget: int) -> str:
    verdicts = "".join(f"<p>{escape(text)}</p>" for text in words.verdict(subject, budget))
    parts = [
        f"<section><h2>{escape(subject.title)}</h2>",
        f'<div class="verdict">{verdicts}</div>',
        _table(subject),
        _gallery(subject, pictures),
        *(_detail(detail, pictures.gain) for detail in pictures.details),
        _chart(subject),
        "</section>",
    ]
    return "\n".join(parts)


def _table(subject: Subject) -> str:
    head = "".join(f"<th>{a}<br>{b}</th>" for a, b in _COLUMNS)
    rows = "".join(_row(subject, name) for name in subject.outcomes)
    table = f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody>"
    return f'<div class="wide"><table>{table}</table></div>'


def _row(subject: Subject, name: str) -> str:
    outcome = subject.outcomes[name]
    n = outcome.numbers
    cells = [
        f"{escape(subject.label(name))}<small>{escape(n['plan'])}</small>",
        f"{outcome.seconds:.1f} s<small>{n['encode_seconds']:.1f} + "
        f"{n['decode_seconds']:.1f}</small>",
        human_bytes(n["peak_bytes"]),
        f"{n['calls'][0]} + {n['calls'][1]}<small>{max(n['work']):.2f}x</small>",
    ]
    if name == "untiled":
        cells += ["the reference", "", ""]
    else:
        seam = outcome.seam
        cells += [
            "equal" if math.isinf(outcome.psnr) else f"{outcome.psnr:.1f} dB",
            words.of_255(outcome.largest_error),
            words.NO_BORDERS
            if seam is None
            else f"{words.ratio(seam)}<small>{seam.near:.3f} / {seam.elsewhere:.3f}</small>",
        ]
    kind = ' class="ours"' if name == "truetile" else ""
    return f"<tr{kind}>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _gallery(subject: Subject, pictures: Pictures) -> str:
    times = f"times {pictures.gain:.0f}"
    ours = subject.outcomes["truetile"]
    captions = {
        "original": "original",
        "classic": "classic tiles",
        "truetile": "TrueTile",
        "untiled": "untiled: what the VAE makes of it",
        "classic difference": f"classic tiles against untiled, {times}",
        "truetile difference": f"TrueTile against untiled, {times}{words.black(ours)}",
    }
    figures = "".join(
        f'<figure><a href="{_file(subject, name)}"><img src="{pictures.shown[name]}" '
        f'alt="{escape(text)}"></a><figcaption>{escape(text)}</figcaption></figure>'
        for name, text in captions.items()
    )
    moving = len(subject.frames) > 1
    note = f" They move; the PNG files behind them are frame {pictures.frame}." if moving else ""
    return (
        f'<div class="grid3">{figures}</div><p class="soft">Both difference pictures show the '
        f"error of each pixel {times}: black is none, white is {255 / pictures.gain:.1f} of 255 "
        f"and more.{note}</p>"
    )


def _detail(detail: Detail, gain: float) -> str:
    top, left = detail.at
    names = {
        "untiled": "untiled",
        "classic": "classic tiles",
        "truetile": "TrueTile",
        "classic difference": f"classic, times {gain:.0f}",
        "truetile difference": f"TrueTile, times {gain:.0f}",
    }
    figures = "".join(
        f'<figure><img src="{detail.crops[key]}" alt="{escape(text)}">'
        f"<figcaption>{escape(text)}</figcaption></figure>"
        for key, text in names.items()
    )
    return (
        f"<h3>Magnified: where {escape(LABELS[detail.whose])} "
        f"{'is' if detail.whose == 'truetile' else 'are'} worst "
        f"(row {top}, column {left})</h3>"
        f'<div class="grid5">{figures}</div>'
    )


def _chart(subject: Subject) -> str:
    if len(subject.frames) == 1:
        return ""
    tiled = {n: o for n, o in subject.outcomes.items() if n != "untiled"}
    lines = {subject.label(n): o.error.mean((1, 2)) * 255 for n, o in tiled.items()}
    cuts = {n: o.numbers["borders"].t for n, o in tiled.items()}
    return (
        "<h3>Mean error of each frame, of 255</h3>"
        + frame_chart(lines, cuts)
        + '<p class="soft">A dashed line is where classic tiles begin anew in time.</p>'
    )


def _file(subject: Subject, name: str) -> str:
    return f"{subject.name}_{name.replace(' ', '_')}.png"
