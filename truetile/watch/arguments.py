"""Types of arguments that the commands of this package share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeVar

from ..errors import InvalidArgument
from .client import DEFAULT_URL, Client

T = TypeVar("T")


def add_server(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--server",
        type=client,
        default=DEFAULT_URL,
        metavar="URL",
        help=f"a running ComfyUI ({DEFAULT_URL})",
    )


def seconds(name: str, least: float, most: float) -> Callable[[str], float]:
    """A type for argparse: a number in [least, most]."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            wanted = f"must be a number of seconds in [{least:g}, {most:g}]"
            raise argparse.ArgumentTypeError(f"{name}={text}: {wanted}")
        return value

    return parse


def count(name: str, least: int = 1) -> Callable[[str], int]:
    """A type for argparse: a whole number of at least `least`."""

    def parse(text: str) -> int:
        if not text.isdigit() or int(text) < least:
            message = f"{name}={text}: must be a whole number of at least {least}"
            raise argparse.ArgumentTypeError(message)
        return int(text)

    return parse


def checked(parse: Callable[[], T]) -> T:
    """What `parse` gives; argparse shows the text of its own error type only."""
    try:
        return parse()
    except InvalidArgument as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def client(text: str) -> Client:
    """A type for argparse: the URL of a server."""
    return checked(lambda: Client(text))
