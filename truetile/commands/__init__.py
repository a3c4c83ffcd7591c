"""Subcommands of `truetile`: each module is one.

A module has a docstring (its description), `HELP` (one line for the list of commands),
`add_arguments(parser)` and `run(args) -> int` (the exit code). Heavy imports belong inside `run`,
since all of them are imported for every call.
"""


class CommandFailed(Exception):
    """The command could not do its work; the message says why, for people, in one line."""
