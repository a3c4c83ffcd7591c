"""Which allocator settings are really in force, and which of the advised ones do nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

VARIABLES = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")
RESERVE = "TRUETILE_RESERVE_GIB"
_NATIVE_ONLY = {
    "expandable_segments", "max_split_size_mb", "garbage_collection_threshold",
    "roundup_power2_divisions", "max_non_split_rounding_mb",
}  # fmt: skip
_ASYNC = "cudaMallocAsync"
RAM = "ram"  # the backend of a RamDevice
_reserve = 0


@dataclass(frozen=True)
class Option:
    """One option as it was given, and what became of it."""

    name: str
    value: str
    in_force: bool
    why: str


@dataclass(frozen=True)
class AllocatorSettings:
    """The backend and every option of the two variables."""

    backend: str
    variables: tuple[tuple[str, str], ...]
    options: tuple[Option, ...]
    advice: tuple[str, ...]

    def __str__(self) -> str:
        kind = "none, main memory is the device" if self.backend == RAM else self.backend
        lines = [f"torch's allocator: {kind}"]
        lines += [f"  {name}={value}" for name, value in self.variables]
        for option in self.options:
            state = "in force" if option.in_force else "NOT in force"
            lines.append(f"  {option.name}:{option.value}: {state}: {option.why}")
        lines += [f"  advice: {advice}" for advice in self.advice]
        return "\n".join(lines)


def settings(
    backend: str, environment: Mapping[str, str] = os.environ, dynamic_vram: bool = False
) -> AllocatorSettings:
    """What the variables say and what of it counts on `backend`.

    dynamic_vram: whether ComfyUI's page allocator runs; it needs torch without expandable segments
    and removes that option.
    """
    variables = tuple((name, environment[name]) for name in VARIABLES if environment.get(name))
    if backend == RAM:
        return AllocatorSettings(backend, variables, _idle(variables), ())
    options: list[Option] = []
    for name, text in variables:
        options += [_option(key, value, backend, dynamic_vram) for key, value in parse(text)]
        if ",," in text:
            options.append(Option("(empty)", "", False, f"{name} has an empty entry: two commas"))
    return AllocatorSettings(
        backend, variables, tuple(options), tuple(_advice(backend, options, dynamic_vram))
    )


def _idle(variables: tuple[tuple[str, str], ...]) -> tuple[Option, ...]:
    pairs = (pair for _, text in variables for pair in parse(text))
    return tuple(Option(name, value, False, "there is no CUDA device") for name, value in pairs)


def parse(text: str) -> list[tuple[str, str]]:
    """(option, value) of a text like "a:1,b:[2,3]"; commas inside brackets separate nothing."""
    entries, depth, start = [], 0, 0
    for i, letter in enumerate(text + ","):
        depth += (letter == "[") - (letter == "]")
        if letter == "," and depth <= 0:
            entries.append(text[start:i])
            start = i + 1
    pairs = (entry.partition(":") for entry in entries if entry.strip())
    return [(name.strip(), value.strip()) for name, _, value in pairs]


def set_reserve(count: int) -> int:
    """Makes every plan keep at least `count` bytes free from now on; gives the figure before."""
    global _reserve
    before, _reserve = _reserve, max(0, int(count))
    return before


def reserve_bytes(environment: Mapping[str, str] = os.environ) -> int:
    """Bytes that every plan keeps free: the larger of TRUETILE_RESERVE_GIB and `set_reserve`.

    Raises ValueError that names the variable.
    """
    text = environment.get(RESERVE, "0") or "0"
    try:
        gib = float(text)
    except ValueError:
        gib = -1.0
    if not 0 <= gib <= 1024:
        raise ValueError(f"{RESERVE}={text}: must be a number of GiB in [0, 1024]")
    return max(int(gib * 2**30), _reserve)


def _option(name: str, value: str, backend: str, dynamic_vram: bool) -> Option:
    if name == "backend":
        same = value == backend
        why = "it is the backend" if same else f"torch runs on {backend}: set before its import?"
        return Option(name, value, same, why)
    if name == "expandable_segments" and dynamic_vram:
        return Option(name, value, False, "ComfyUI removes it: dynamic VRAM cannot count it")
    if name in _NATIVE_ONLY and backend == _ASYNC:
        why = f"an option of the native allocator; {_ASYNC} does not read it"
        return Option(name, value, False, why)
    return Option(name, value, True, "read by this backend")


def _advice(backend: str, options: list[Option], dynamic_vram: bool) -> list[str]:
    idle = [
        option.name for option in options if not option.in_force and option.name in _NATIVE_ONLY
    ]
    advice = []
    if idle:
        advice.append(f"remove {', '.join(dict.fromkeys(idle))}: without effect here")
    if backend == _ASYNC and idle and not dynamic_vram:
        advice.append("to use them, start ComfyUI with --disable-cuda-malloc")
    if dynamic_vram:
        advice.append("to keep memory free for others, start ComfyUI with --vram-headroom GIB")
    else:
        advice.append("to keep memory free for others, start ComfyUI with --reserve-vram GIB")
    advice.append(f"to make TrueTile's plans smaller, set {RESERVE}")
    return advice
