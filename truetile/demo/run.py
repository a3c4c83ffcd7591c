"""The demo from its inputs to the finished folder."""

from __future__ import annotations

import json
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..errors import InvalidArgument
from ..report import human_bytes
from . import bench, page, pictures, words
from .bench import Subject
from .job import Job
from .media import load_clip, load_photo
from .progress import Progress

ASSETS = Path(__file__).resolve().parents[2] / "assets"
PHOTO_WIDTH = 1024
CLIP_WIDTH, CLIP_FRAMES = 368, 17
PAGE = "report.html"


@dataclass(frozen=True)
class Options:
    """What the command line asks for; budget in bytes."""

    out: Path
    budget: int
    photo: Path
    clip: Path
    vae: Path
    threads: int
    device: str


def run(options: Options, progress: Progress | None = None) -> list[Subject]:
    """Runs the demo; `options.out` then holds report.html, report.json and the pictures.

    Nothing appears there before all of it is complete.

    Raises:
        InvalidArgument: a file that is missing or no picture.
        BudgetError: a budget below the smallest tile.
        CommandFailed: a method ran out of memory or died.
    """
    if not options.vae.is_file():
        raise InvalidArgument(f"vae={options.vae}: no such file")
    if options.out.exists() and not options.out.is_dir():
        raise InvalidArgument(
            f"out={options.out}: must be a folder, and a file of that name exists"
        )
    subjects = load_subjects(options)
    work = {
        f"{s.name}: {s.label(m)}": s.frames.size * (1.4 if m != "untiled" else 1.0)
        for s in subjects
        for m in s.methods
    }
    work["report"] = 0.05 * sum(work.values())
    with _complete_or_nothing(options.out) as folder, progress or Progress(work) as bar:
        with tempfile.TemporaryDirectory(prefix="truetile-") as scratch, bench.processes() as ctx:
            for subject in subjects:
                _measure(subject, options, Path(scratch), ctx, bar)
        bar.begin("report")
        _write(subjects, options, folder)
        bar.end()
    return subjects


def load_subjects(options: Options) -> list[Subject]:
    """The photograph and the clip, checked before anything else is done."""
    photo = load_photo(options.photo, PHOTO_WIDTH)
    clip = load_clip(options.clip, CLIP_WIDTH, CLIP_FRAMES)
    sizes = ["{2} x {1}".format(*frames.shape) for frames in (photo, clip)]
    return [
        Subject("photo", f"Photograph, {sizes[0]}", photo, ("untiled", "classic", "truetile")),
        Subject(
            "clip",
            f"Clip, {sizes[1]}, {len(clip)} frames",
            clip,
            ("untiled", "classic", "classic whole", "truetile"),
        ),
    ]


def summary(subjects: list[Subject]) -> str:
    """The figures as a table for the terminal."""
    head = ("", "time", "peak", "PSNR/untiled", "seam", "near/elsewhere of 255")
    rows = [head]
    for subject in subjects:
        for name, o in subject.outcomes.items():
            row = [f"{subject.name}: {subject.label(name)}", f"{o.seconds:.1f} s"]
            row.append(human_bytes(o.numbers["peak_bytes"]))
            if name != "untiled":
                row.append("equal" if np.isinf(o.psnr) else f"{o.psnr:.1f} dB")
                row.append(words.NO_BORDERS if o.seam is None else words.ratio(o.seam))
                row.append("" if o.seam is None else f"{o.seam.near:.3f}/{o.seam.elsewhere:.3f}")
            rows.append(tuple(row) + ("",) * (len(head) - len(row)))
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    return "\n".join(
        "  ".join(
            c.ljust(w) if i == 0 else c.rjust(w)
            for i, (c, w) in enumerate(zip(r, widths, strict=True))
        )
        for r in rows
    )


def _measure(subject: Subject, options: Options, scratch: Path, ctx: Any, bar: Progress) -> None:
    source = scratch / f"{subject.name}.npy"
    np.save(source, subject.frames)
    for method in subject.methods:
        bar.begin(f"{subject.name}: {subject.label(method)}")
        job = Job(
            method=method,
            subject=source,
            result=bench.result_path(scratch, subject, method),
            vae=options.vae,
            budget=options.budget,
            threads=options.threads,
            device=options.device,
        )
        numbers = bench.run_job(ctx, job, bar.at)
        subject.outcomes[method] = bench.compare(subject, numbers, np.load(job.result))
        bar.end()


def _write(subjects: list[Subject], options: Options, folder: Path) -> None:
    shown = []
    for subject in subjects:
        made = pictures.make_pictures(subject, folder)
        pictures.card(subject, made.frame, made.gain, folder / f"{subject.name}_card.webp")
        shown.append((subject, made))
    machine = _machine(subjects, options)
    raw = {
        "truetile": __version__,
        "budget_bytes": options.budget,
        "machine": dict(machine),
        "subjects": {
            s.name: {
                "shape": list(s.frames.shape),
                "methods": {n: o.to_dict() for n, o in s.outcomes.items()},
            }
            for s in subjects
        },
    }
    (folder / "report.json").write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")
    (folder / PAGE).write_text(page.render(shown, options.budget, machine), encoding="utf-8")


def _machine(subjects: list[Subject], options: Options) -> list[tuple[str, str]]:
    numbers = subjects[0].outcomes["truetile"].numbers
    return [
        ("machine", f"{_processor()}, {options.threads} threads, {platform.system()}"),
        ("device", numbers["device"]),
        (
            "versions",
            f"TrueTile {__version__}, Python {platform.python_version()}, torch {numbers['torch']}",
        ),
        ("kernels", numbers["kernels"]),
        ("VAE", options.vae.name),
        ("photograph", options.photo.name),
        ("clip", options.clip.name),
    ]


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


@contextmanager
def _complete_or_nothing(out: Path) -> Iterator[Path]:
    """A folder beside `out` whose files move there when all is written, the page last."""
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        yield folder
        out.mkdir(exist_ok=True)
        for path in sorted(folder.iterdir(), key=lambda path: path.name == PAGE):
            path.replace(out / path.name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
