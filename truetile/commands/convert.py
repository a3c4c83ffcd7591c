"""Makes a workflow use TrueTile's nodes, and takes that back.

IN is a workflow or an API prompt (JSON), or a PNG or WebP picture that carries one. VAE Decode and
VAE Encode nodes, tiled or not, become TrueTile's; everything else stays as it is. Nothing is
overwritten unless --in-place is given, which keeps a copy.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import InvalidArgument

HELP = "make a workflow use TrueTile's nodes, or take that back"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `truetile convert`."""
    add = parser.add_argument
    add("input", type=Path, metavar="IN", help="a workflow, an API prompt, or a picture with one")
    add("output", type=Path, nargs="?", metavar="OUT", help="a new file (IN_truetile.json)")
    add("--wrap", action="store_true", help="keep the VAE nodes; a TrueTileVAE behind every loader")
    add(
        "--checkpoints", action="store_true", help="a MemoryCheckpoint before each phase of the run"
    )
    add(
        "--budget",
        action="append",
        default=[],
        metavar="PHASE=GIB",
        help="what may stay on the card when PHASE (text encode, encode, sample, decode, save) "
        "begins; implies --checkpoints",
    )
    add("--undo", action="store_true", help="restore the workflow that was converted")
    add("--check", action="store_true", help="only say what would be done")
    add("--diff", action="store_true", help="only print the lines that would change")
    add("--in-place", action="store_true", help="change IN itself, and keep a copy in IN.bak")


def run(args: argparse.Namespace) -> int:
    """Converts; 0 also where there was nothing to do, which is said."""
    from ..converter import convert, diff, undo
    from ..converter.files import WorkflowFile

    _check(args)
    budgets = _budgets(args.budget)
    source = WorkflowFile(args.input)
    if args.undo:
        result = source.convert(undo)
    else:
        options = {"wrap": args.wrap, "checkpoints": args.checkpoints, "budgets": budgets}
        result = source.convert(lambda text: convert(text, **options))
    if args.diff:
        print(diff.unified(result), end="")
        return 0
    for name, done in result.documents.items():
        head = f"{name}: " if name else ""
        for line in str(done).splitlines():
            print(head + line)
    if not result.changed:
        print(f"{args.input}: nothing to convert")
    elif args.in_place:
        print(f"changed {args.input}; as it was: {result.write_in_place()}")
    elif not args.check:
        out = args.output or _usual(args.input, args.undo)
        result.write(out)
        print(f"written: {out}")
    return 0


def _check(args: argparse.Namespace) -> None:
    if args.in_place and args.output is not None:
        raise InvalidArgument(f"out={args.output}: cannot be given together with --in-place")
    if args.undo and (args.wrap or args.checkpoints or args.budget):
        raise InvalidArgument("undo: cannot be given together with --wrap, --checkpoints, --budget")
    if not args.input.is_file():
        raise InvalidArgument(f"in={args.input}: no such file")


def _budgets(given: list[str]) -> dict[str, float]:
    budgets = {}
    for text in given:
        phase, _, gib = text.partition("=")
        try:
            budgets[phase] = float(gib.lower().removesuffix("gib"))
        except ValueError:
            raise InvalidArgument(f"budget={text}: must be PHASE=GIB, such as sample=4") from None
    return budgets


def _usual(path: Path, undo: bool) -> Path:
    return path.with_name(f"{path.stem}_{'original' if undo else 'truetile'}.json")
