"""Shows the memory of a running ComfyUI, reading after reading.

On a terminal a table with a sparkline; elsewhere one line for each reading. When the server is
silent, the driver is asked instead (NVML, nvidia-smi).
"""

from __future__ import annotations

import argparse
import itertools
import os
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
    """Reads until Ctrl-C, which is its usual end, or `--count`."""
    title = f"TrueTile memory watch, {args.server.url}, every {args.interval:g} s"
    table = screen.Table(title, args.interval) if _draws() else None
    try:
        _watch(args, table)
    except KeyboardInterrupt:
        print()
    return 0


def _draws() -> bool:
    """Whether stdout is a terminal that can be drawn on."""
    if not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        return False
    if os.name == "nt":
        os.system("")
    return True


def _watch(args: argparse.Namespace, table: screen.Table | None) -> None:
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
        _show(table, readings, problem)
        if last:
            return
        # A slow answer does not make the next reading come at once.
        due = max(due + args.interval, time.monotonic())
        time.sleep(due - time.monotonic())


def _show(table: screen.Table | None, readings: list, problem: str) -> None:
    now = time.time()
    if table is None:
        for reading in readings:
            print(screen.line(reading, now), flush=True)
        if problem:
            print(problem, file=sys.stderr, flush=True)
        return
    table.missed(problem) if problem else table.add(readings, now)
    sys.stdout.write(table.text(now))
    sys.stdout.flush()
