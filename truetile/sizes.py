"""Byte sizes as people write them on a command line."""

from __future__ import annotations

import re

from .errors import InvalidArgument

_UNITS = {"": 0, "B": 0, "KIB": 1, "MIB": 2, "GIB": 3, "TIB": 4}
_FORM = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([A-Za-z]*)")


def parse_bytes(name: str, text: str) -> int:
    """Bytes of `text`, such as 512MiB, 0.5GiB or 1000000; units are powers of 1024.

    Raises:
        InvalidArgument: another form, or less than one byte; the message calls the value `name`.
    """
    match = _FORM.fullmatch(text.strip())
    power = _UNITS.get(match[2].upper()) if match else None
    if power is None:
        raise InvalidArgument(
            f"{name}={text}: must be a number and one of B, KiB, MiB, GiB, TiB, such as 512MiB or "
            "0.5GiB"
        )
    count = int(float(match[1]) * 1024**power)
    if count < 1:
        raise InvalidArgument(f"{name}={text}: must be at least 1 byte")
    return count
