"""Memory of a running ComfyUI, seen from outside: watch it, record a command, repair it."""

from __future__ import annotations

import argparse

from ..watch import cli_record, cli_repair, cli_watch

HELP = "watch the memory of a running ComfyUI, record a command's, repair it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One parser for each of the memory commands."""
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    modules = {"watch": cli_watch, "record": cli_record, "repair": cli_repair}
    for name, module in modules.items():
        sub = subparsers.add_parser(name, help=module.HELP, description=module.__doc__)
        module.add_arguments(sub)
        # argparse lets these win over those of `truetile memory` itself.
        sub.set_defaults(run=module.run, prog=sub.prog)


def run(args: argparse.Namespace) -> int:
    """Never reached: a memory command is required, and each has a `run` of its own."""
    raise NotImplementedError
