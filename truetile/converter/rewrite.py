"""Writes a changed document into its own text: what did not change keeps every byte."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any

from . import json_text
from .json_text import Member

_ABSENT = object()


def same(a: Any, b: Any) -> bool:
    """Whether two values are one JSON value, told by type too: 1, 1.0 and true are three."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(value, b[key]) for key, value in a.items())
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and math.isnan(a):  # Python writes NaN into the prompts of pictures
        return math.isnan(b)
    return a == b


def rewrite(text: str, old: Any, new: Any) -> str:
    """The text of `new`. `old` is what `text` holds; order and spelling are taken from there."""
    start = json_text.root(text)
    end = len(text.rstrip())
    body = _Writer(text, _style(text, start)).value(start, end, old, new, "\n")
    return text[:start] + body + text[end:]


def dump(value: Any, indent: int = 2) -> str:
    """A document of its own, as the editor exports it."""
    style = _Style(" " * indent, ": ", ", ", ascii_only=False)
    return style.dump(value, "\n") + "\n"


@dataclass(frozen=True)
class _Style:
    """How a text is laid out. `unit` is None where everything stands in one line."""

    unit: str | None
    colon: str
    comma: str
    ascii_only: bool

    def dump(self, value: Any, prefix: str) -> str:
        """`prefix`: the line break and indentation of the line that the value stands in, or ""."""
        if isinstance(value, float) and math.isinf(value):
            return "1e999" if value > 0 else "-1e999"  # JSON has no infinity but by its digits
        if not isinstance(value, (dict, list)) or not value:
            return self._leaf(value)
        inner = prefix + self.unit if prefix and self.unit is not None else ""
        if isinstance(value, dict):
            opening, closing = "{}"
            parts = [f"{self._leaf(k)}{self.colon}{self.dump(v, inner)}" for k, v in value.items()]
        else:
            opening, closing = "[]"
            parts = [self.dump(entry, inner) for entry in value]
        if not inner:
            return opening + self.comma.join(parts) + closing
        return opening + inner + f",{inner}".join(parts) + prefix + closing

    def _leaf(self, value: Any) -> str:
        text = json.dumps(value, ensure_ascii=self.ascii_only)
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:  # half of a surrogate pair can only be written as an escape
            text = json.dumps(value)
        return text


class _Writer:
    def __init__(self, text: str, style: _Style) -> None:
        self._text = text
        self._style = style

    def value(self, start: int, end: int, old: Any, new: Any, prefix: str) -> str:
        if same(old, new):
            return self._text[start:end]
        if not new or type(old) is not type(new) or not isinstance(new, (dict, list)) or not old:
            return self._style.dump(new, prefix if self._style.unit is not None else "")
        found = list(json_text.members(self._text, start))
        if isinstance(new, dict):
            last = {member.key: member for member in found}  # of equal keys only that one counts
            now = [new.get(m.key, _ABSENT) if last[m.key] is m else _ABSENT for m in found]
            kept = [(m, old[m.key], value) for m, value in zip(found, now, strict=True)]
            added = [(key, value) for key, value in new.items() if key not in old]
        else:
            values = [*new[: len(old)], *[_ABSENT] * (len(old) - len(new))]
            kept = list(zip(found, old, values, strict=True))
            added = [(None, value) for value in new[len(old) :]]
        return self._container(start, end, kept, added)

    def _container(self, start: int, end: int, kept: list, added: list) -> str:
        text = self._text
        opening = text[start + 1 : kept[0][0].start]
        closing = text[kept[-1][0].end : end - 1]
        # A line break in front of the members is repeated in front of new ones.
        lead = opening if "\n" in opening else ""
        out, before = "", start + 1
        for member, was, now in kept:
            separator = text[before : member.start]
            before = member.end
            if now is not _ABSENT:
                out += (separator if out else opening) + self._member(member, was, now, lead)
        for key, value in added:
            out += self._separator(lead) if out else opening
            out += "" if key is None else self._style.dump(key, "") + self._style.colon
            out += self._style.dump(value, lead)
        return text[start] + out + closing + text[end - 1]

    def _member(self, member: Member, was: Any, now: Any, lead: str) -> str:
        head = self._text[member.start : member.value_start]
        return head + self.value(member.value_start, member.end, was, now, lead)

    def _separator(self, lead: str) -> str:
        return f",{lead}" if lead else self._style.comma


def _style(text: str, start: int) -> _Style:
    indented = re.compile(r"[{\[]\r?\n([ \t]*)").match(text, start)
    first = next(json_text.members(text, start), None) if text[start : start + 1] == "{" else None
    colon = ": "
    if first is not None:
        key_end = json_text.end_of(text, first.start)
        colon = re.sub(r"\s*\n\s*", " ", text[key_end : first.value_start])
    compact = re.search(r'[\]}0-9"el],( ?)["\[{0-9]', text[start:]) if indented is None else None
    return _Style(
        unit=indented.group(1) if indented else None,
        colon=colon,
        comma=f",{compact.group(1)}" if compact else ", ",
        ascii_only=text.isascii(),
    )
