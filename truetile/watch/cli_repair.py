"""Has a running ComfyUI bring memory back without a restart, cheapest step first.

Needs the TrueTile custom nodes in that server. It is done between two prompts.
"""

from __future__ import annotations

import argparse

from ..commands import CommandFailed
from ..native.memory import say_bytes
from . import arguments
from .client import Refused, ServerSilent

HELP = "bring memory back in a running ComfyUI, without a restart"
ROUTE = "/truetile/memory/repair"
_BUSY, _ABSENT = 409, (404, 405)
_PATIENCE = 600.0  # seconds: large models take long to leave; with --wait a prompt comes before


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `truetile memory repair`."""
    arguments.add_server(parser)
    add = parser.add_argument
    add("--goal", type=_gib, metavar="GIB", help="stop once this is free (do every step)")
    add("--wait", action="store_true", help="after the prompts that run and wait (refuse)")


def run(args: argparse.Namespace) -> int:
    """Prints each step with before and after; 1 when the goal is not met."""
    try:
        body = {"goal": args.goal, "wait": args.wait}
        done = args.server.post(ROUTE, body, timeout=_PATIENCE)
    except ServerSilent as error:
        raise CommandFailed(str(error)) from None
    except Refused as error:
        if error.status in _ABSENT:
            raise CommandFailed(
                f"{args.server.url}: this ComfyUI has no TrueTile nodes that can repair"
            ) from None
        hint = " (--wait)" if error.status == _BUSY else ""
        raise CommandFailed(f"{error}{hint}") from None
    print(text(done))
    return 1 if done["met"] is False else 0


def text(done: dict) -> str:
    """The answer of the server for people."""
    goal, met = done["goal"], done["met"]
    head = f"{done['device']}: {say_bytes(done['free'])} free"
    if goal:
        head += f", goal {say_bytes(goal)}: {'met' if met else 'NOT met'}"
    lines = [head]
    for step in done["steps"]:
        before, after = step["free_before"], step["free_after"]
        gained = after - before if None not in (before, after) else None
        lines.append(
            f"  {step['name']}: free {say_bytes(before)} -> {say_bytes(after)} "
            f"(gained {say_bytes(gained)})"
        )
        lines += [f"    {step['detail']}"] if step.get("detail") else []
    if not done["steps"]:
        lines.append("  nothing had to be done")
    if met is not True:
        lines += [f"  still there: {o['name']}: {say_bytes(o['bytes'])}" for o in done["left"]]
    return "\n".join(lines + ([f"  {done['restart']}"] if done["restart"] else []))


def _gib(value: str) -> int:
    try:
        gib = float(value)
    except ValueError:
        gib = float("nan")
    if not 0 < gib <= 1024:
        raise argparse.ArgumentTypeError(f"goal={value}: must be a number of GiB in (0, 1024]")
    return max(1, int(gib * 2**30))
