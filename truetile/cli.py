"""The `truetile` command: finds the subcommands, and turns errors into one line for people."""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import re
import signal
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import NoReturn

from . import __version__, commands
from .commands import CommandFailed
from .errors import BudgetError, InvalidArgument, LadderExhausted, NonFiniteError

BAD_ARGUMENT = 2
FAILED = 1
INTERRUPTED = 130


class Parser(argparse.ArgumentParser):
    """argparse without the usage text in front of an error: one line says it."""

    def error(self, message: str) -> NoReturn:
        message = re.sub(r"^argument ([^:]+): ", r"\1: ", message)
        self.exit(BAD_ARGUMENT, f"{self.prog}: {message}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code (0 done, 1 failed, 2 bad argument)."""
    args = build_parser().parse_args(argv)
    # As with Ctrl-C, what is half-written is removed and child processes are ended.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        return args.run(args)
    except (InvalidArgument, BudgetError) as error:
        return _say(args, error, BAD_ARGUMENT)
    except (CommandFailed, LadderExhausted, NonFiniteError, OSError) as error:
        return _say(args, error, FAILED)
    except KeyboardInterrupt:
        return _say(args, "interrupted", INTERRUPTED)
    finally:
        signal.signal(signal.SIGTERM, before)


def build_parser() -> argparse.ArgumentParser:
    """The parser with one subcommand for each module of `truetile.commands`."""
    parser = Parser(prog="truetile", description="Tiled VAE encode and decode.")
    parser.add_argument("--version", action="version", version=f"truetile {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in _commands():
        name = module.__name__.rpartition(".")[2]
        sub = subparsers.add_parser(name, help=module.HELP, description=module.__doc__)
        module.add_arguments(sub)
        sub.set_defaults(run=module.run, prog=sub.prog)
    return parser


def _commands() -> list[ModuleType]:
    names = sorted(info.name for info in pkgutil.iter_modules(commands.__path__))
    return [importlib.import_module(f".{name}", commands.__name__) for name in names]


def _say(args: argparse.Namespace, what: object, code: int) -> int:
    if os.environ.get("TRUETILE_TRACEBACK") and isinstance(what, BaseException):
        raise what
    print(f"{args.prog}: {what}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
