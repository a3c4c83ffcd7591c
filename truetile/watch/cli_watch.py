"""Shows the memory of a running ComfyUI, reading after reading.

On a terminal a table with a sparkline; elsewhere one line for each reading. When the server is
silent, the driver is asked instead (NVML, nvidia-smi).
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time

from ..commands import CommandFailed
from . import arguments, screen, sources

HELP = "the memory of a running ComfyUI, live"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `truetile memory watch`."""
    arguments.add_server(parser)
    add = parser.add_argument
    interval = arguments.seconds("interval", 0.1, 3600)
    add("--interval", type=interval, default=1.0, metavar="S", help="seconds between readings (1)")
    add(
        "--count",
        type=arguments.count("count"),
        metavar="N",
        help="end after N readings (at Ctrl-C); fails when the last one could not be had",
    )


def run(args: argparse.Namespace) -> int:
    """Reads until Ctrl-C or `--count`."""
    table = screen.Table() if sys.stdout.isatty() else None
    title = f"TrueTile memory watch, {args.server.url}, every {args.interval:g} s"
    due = time.monotonic()
    for number in itertools.count(1):
        readings, problem = [], ""
        try:
            readings = sources.read(args.server)
        except sources.NoReading as error:
            problem = f"no reading: {error}"
        last = number == args.count
        if last and problem:
            raise CommandFailed(problem)
        _show(table, title, readings, problem)
        if last:
            return 0
        # A slow answer does not make the next reading come at once.
        due = max(due + args.interval, time.monotonic())
        time.sleep(due - time.monotonic())
    return 0


def _show(table: screen.Table | None, title: str, readings: list, problem: str) -> None:
    now = time.time()
    if table is None:
        for reading in readings:
            print(screen.line(reading, now), flush=True)
        if problem:
            print(problem, file=sys.stderr, flush=True)
        return
    table.missed() if problem else table.add(readings)
    sys.stdout.write(table.text(readings, title, problem))
    sys.stdout.flush()
