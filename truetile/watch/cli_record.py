"""Runs a command, samples the device and the command's memory, and writes the timeline.

FOLDER gets timeline.csv, timeline.json and timeline.html once the command has ended, all or none.
The exit code is the command's.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..errors import InvalidArgument
from ..native.memory import say_bytes
from . import arguments, files, lock

HELP = "run a command and write its memory as a timeline"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `truetile memory record`."""
    parser.usage = "%(prog)s [-h] [--out FOLDER] [--interval S] -- CMD ..."
    add = parser.add_argument
    add("--out", type=Path, default=Path("memory"), metavar="FOLDER", help="to write to (memory)")
    interval = arguments.seconds("interval", 0.005, 60)
    add("--interval", type=interval, default=0.02, metavar="S", help="between samples (0.02)")
    add("cmd", nargs=argparse.REMAINDER, metavar="CMD", help="the command and its arguments")


def run(args: argparse.Namespace) -> int:
    """Records the command; its exit code."""
    from . import page, record

    command = args.cmd[1:] if args.cmd[:1] == ["--"] else args.cmd
    if not command:
        raise InvalidArgument("CMD: is missing (truetile memory record -- CMD ...)")
    folder = files.folder("out", args.out)
    with lock.locked("out", folder):
        found = record.record(command, args.interval)
        files.write_all(
            {
                folder / "timeline.csv": found.to_csv(),
                folder / "timeline.json": found.to_json(),
                folder / "timeline.html": page.page(found),
            }
        )
    for name, entry in found.channels().items():
        figures = f"peak {say_bytes(entry['peak'])}, mean {say_bytes(round(entry['mean']))}"
        # The command's own output stays alone on stdout.
        print(f"{args.prog}: {page.TITLES[name]}: {figures}", file=sys.stderr)
    print(f"{args.prog}: {folder / 'timeline.html'}", file=sys.stderr)
    return found.exit_code
