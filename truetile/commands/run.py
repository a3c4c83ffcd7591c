"""Queues many scenes in ComfyUI, records time and memory of each, and writes a baseline.

After a crash or Ctrl-C the same command goes on where it stopped. FOLDER gets baseline.md and
baseline.json, with a comparison to the run before.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InvalidArgument
from ..sizes import parse_bytes
from ..watch import arguments, files, lock
from ..watch.client import DEFAULT_URL, Client

if TYPE_CHECKING:
    from ..scenes.scene import Scene

HELP = "many scenes through ComfyUI: time and memory of each, resumed after a crash"
_JOURNAL_LOG = "comfyui.log"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `truetile run`."""
    add = parser.add_argument
    add("scenes", nargs="+", metavar="SCENES", help="prompts in API format: JSON files or globs")
    add("--out", type=Path, required=True, metavar="FOLDER", help="for the journal and baseline")
    add("--server", metavar="URL", help=f"a running ComfyUI ({DEFAULT_URL})")
    add("--comfyui", type=Path, metavar="DIR", help="start this ComfyUI instead, and end it again")
    add("--python", default=sys.executable, metavar="PY", help="the interpreter for it (this one)")
    add("--flags", default="", help="arguments for it in one text, such as --flags='--lowvram'")
    add("--repeat", type=arguments.count("repeat"), default=1, metavar="N", help="each N times (1)")
    interval = arguments.seconds("interval", 0.05, 60)
    add("--interval", type=interval, default=0.5, metavar="S", help="between readings (0.5)")
    limit = arguments.seconds("max-seconds", 0.001, 1e6)
    add("--max-seconds", type=limit, default=60.0, metavar="S", help="good: a scene under this")
    add("--min-free", type=_size, default="4GiB", metavar="SIZE", help="good: always this free")
    row = arguments.count("in-a-row")
    add("--in-a-row", type=row, default=10, metavar="N", help="good: N scenes without an error")


def run(args: argparse.Namespace) -> int:
    """Runs what is not done yet; 1 when a scene failed."""
    from ..scenes import scene

    _check(args)
    scenes = scene.load(args.scenes, args.repeat)
    with lock.locked("out", files.folder("out", args.out)):
        return _run(args, scenes)


def _run(args: argparse.Namespace, scenes: list[Scene]) -> int:
    from ..scenes import baseline
    from ..scenes.journal import Journal
    from ..scenes.own_server import OwnServer
    from ..scenes.runner import Runner

    client = Client(args.server or DEFAULT_URL)
    journal = Journal(args.out)
    if journal.resumed:
        _say("resuming a run that did not end")
    own = None
    if args.comfyui is not None:
        log = args.out.resolve() / _JOURNAL_LOG
        own = OwnServer(args.comfyui, args.python, shlex.split(args.flags), log, journal)
    try:
        if own is not None:
            own.start()
        results = Runner(journal, client, own, args.interval, _say).run(scenes)
    finally:
        if own is not None:
            own.stop()
    limits = baseline.Criteria(args.max_seconds, args.min_free, args.in_a_row)
    data = baseline.make(journal.data, results, limits, args.out)
    for path in baseline.write(data, args.out):
        _say(str(path))
    journal.close()
    return 0 if data["totals"]["succeeded"] == len(results) else 1


def _check(args: argparse.Namespace) -> None:
    if args.comfyui is None:
        if args.flags:
            raise InvalidArgument(f"flags={args.flags}: needs --comfyui")
        return
    if args.server is not None:
        raise InvalidArgument(f"server={args.server}: cannot be given together with --comfyui")
    if not (args.comfyui / "main.py").is_file():
        raise InvalidArgument(f"comfyui={args.comfyui}: holds no main.py")


def _size(text: str) -> int:
    return arguments.checked(lambda: parse_bytes("min-free", text))


def _say(text: str) -> None:
    print(text, flush=True)
