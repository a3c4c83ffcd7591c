"""Modules of custom nodes that no manager knows, found by the names that reports print."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterable

import torch


def names_in(text: str) -> list[str]:
    """The names in what a user typed: separated by commas or lines, "module " in front dropped."""
    parts = (part.strip().removeprefix("module ").strip() for part in re.split(r"[,\n]", text))
    return [part for part in parts if part]


def find(
    names: Iterable[str], managed: Iterable[int] = ()
) -> tuple[list[torch.nn.Module], list[str]]:
    """Living modules whose class has one of `names`, and the names that no module has.

    A name is that of the class, or with its module in front: "Detector", "pack.nodes.Detector".
    managed: ids of models that a manager moves; they and their parts are left to it. A part of a
    module that is found is not listed beside it.
    """
    names = list(names)
    if not names:
        return [], []
    modules = [m for m in gc.get_objects() if issubclass(type(m), torch.nn.Module)]
    keys = set(managed)
    taken = {id(part) for m in modules if id(m) in keys for part in m.modules()}
    matching = {id(m): m for m in modules if id(m) not in taken and _named(m, names)}
    inner = {id(part) for m in matching.values() for part in m.modules() if part is not m}
    found = [m for key, m in matching.items() if key not in inner]
    missing = [name for name in names if not any(_named(m, [name]) for m in matching.values())]
    return found, missing


def _named(module: torch.nn.Module, names: list[str]) -> bool:
    kind = type(module)
    full = f"{kind.__module__}.{kind.__qualname__}"
    return any(full == name or full.endswith("." + name) for name in names)
