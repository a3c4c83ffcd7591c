"""The reference of the command line as Markdown, read from the argparse parsers themselves."""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

from truetile import cli

PAGE = "cli.md"


def write(folder: Path) -> None:
    """Writes PAGE, one section for each command, into `folder`."""
    (folder / PAGE).write_text(text(), encoding="utf-8")


def text() -> str:
    """All commands, in the order of `truetile --help`, those of `truetile memory` one by one."""
    sections = [_section(name, parser) for name, parser in parsers()]
    return "\n".join(sections)


def parsers() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Name and parser of every command that can be called: `truetile memory watch`, ..."""
    yield from _leaves("truetile", cli.build_parser())


def _leaves(
    name: str, parser: argparse.ArgumentParser
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    choices = [
        action.choices
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
    ]
    if not choices:
        yield name, parser
    for commands in choices:
        for word, sub in commands.items():
            yield from _leaves(f"{name} {word}", sub)


def _section(name: str, parser: argparse.ArgumentParser) -> str:
    lines = [f"## `{name}`", "", inspect.cleandoc(parser.description or ""), ""]
    lines += ["```text", _usage(parser), "```", ""]
    rows = [
        (_names(action, parser), _meaning(action))
        for action in parser._actions
        if not isinstance(action, argparse._HelpAction)
    ]
    if rows:
        lines += ["| argument | meaning |", "|---|---|"]
        lines += [f"| `{names}` | {meaning} |" for names, meaning in rows]
        lines.append("")
    return "\n".join(lines)


def _usage(parser: argparse.ArgumentParser) -> str:
    formatter = argparse.HelpFormatter(parser.prog, width=78)
    formatter.add_usage(parser.usage, parser._actions, parser._mutually_exclusive_groups, "")
    return formatter.format_help().rstrip()


def _names(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    if not action.option_strings:
        return str(action.metavar or action.dest)
    value = "" if action.nargs == 0 else f" {_value(action)}"
    return ", ".join(f"{option}{value}" for option in action.option_strings)


def _value(action: argparse.Action) -> str:
    shown = action.metavar or (
        "{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.dest.upper()
    )
    return f"[{shown}]" if action.nargs == "?" else str(shown)


def _meaning(action: argparse.Action) -> str:
    text = re.sub(r"\s+", " ", (action.help or "").replace("%%", "%"))
    # A bar ends a table's cell, and in code it cannot be escaped.
    text = text.replace("|", "\\|")
    return f"{text[:1].upper()}{text[1:]}." if text else ""
