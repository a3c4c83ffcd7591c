"""Accounts, verdicts and phases as text for people and as plain data for JSON."""

from __future__ import annotations

from dataclasses import asdict, is_dataclass
from typing import Any

from . import ram
from .core import CHANNELS, Account, PhaseStats, Verdict, say_bytes
from .offload import Outcome

_TITLES = {"pass": "PASS", "partial": "PARTIAL", "fail": "FAIL"}
_CHANNEL_NAMES = {
    "driver_used": "device, by the driver",
    "own_process": "device, this process",
    "other_processes": "device, other processes",
    "torch_allocated": "torch, allocated",
    "torch_reserved": "torch, reserved",
    "ram": "main memory, this process",
}


def account_text(account: Account) -> str:
    """The account as a table: largest parts first, the unknown last."""
    rest = [part for part in account.parts if part.kind == "unknown"]
    shown = [part for part in account.parts if part.kind != "unknown" and part.bytes]
    lines = [f"used {say_bytes(account.used)} of {say_bytes(account.total)}"]
    for part in sorted(shown, key=lambda part: -part.bytes) + rest:
        detail = f"  ({part.detail})" if part.detail else ""
        lines.append(f"  {say_bytes(part.bytes):>12}  {part.name}{detail}")
    lines += [f"  note: {note}" for note in account.notes]
    lines.append(ram_text(ram.read()))
    return "\n".join(lines)


def ram_text(now: ram.Ram) -> str:
    """Main memory beside the device's: this process's, its pinned part, the machine's."""
    pinned = "not available" if now.pinned is None else say_bytes(now.pinned)
    if now.pinned_by:
        pinned += f" ({', '.join(f'{name} {say_bytes(count)}' for name, count in now.pinned_by)})"
    return (
        f"main memory: this process {_said(now.resident)}, pinned by torch {pinned}, "
        f"available {_said(now.available)} of {_said(now.total)}"
    )


def _said(count: int | None) -> str:
    return "not available" if count is None else say_bytes(count)


def verdict_text(verdict: Verdict) -> str:
    """The verdict, its levels and who is in the way."""
    lines = [f"verdict: {_TITLES[verdict.outcome]}"]
    for level in verdict.levels:
        due = f" of {say_bytes(level.expected)} due" if level.expected else ""
        freed = "" if level.freed is None else f"freed {say_bytes(level.freed)}{due}, "
        lines.append(f"  {level.name}: {freed}{level.outcome}")
    if verdict.foreign_drift:
        lines.append(f"  other processes meanwhile: {say_bytes(verdict.foreign_drift)}, taken out")
    for holder in verdict.holders:
        lines.append(f"  held by {holder.name}: {say_bytes(holder.bytes)} ({holder.why})")
    lines += [f"  note: {note}" for note in verdict.notes]
    return "\n".join(lines)


def outcome_text(outcome: Outcome) -> str:
    """What an offload did, whether it is proven, and what is on the device now."""
    lines = [verdict_text(outcome.verdict)]
    if outcome.first is not None:
        seconds = f"{outcome.seconds:.1f} s"
        lines.append(f"  read twice ({seconds}); the first reading said {outcome.first.outcome}")
    if outcome.request.action != "none" and not outcome.moves_weights:
        lines.append("  nothing to offload: without a GPU, weights live in main memory")
    elif _moved(outcome) and not outcome.verdict.levels[0].expected:
        lines.append("  nothing had to leave: no managed model was on the device")
    lines.append(f"free for the next phase: {say_bytes(outcome.free_bytes)}")
    lines.append(account_text(outcome.account))
    lines += [f"  {name}: not available ({why})" for name, why in outcome.unavailable.items()]
    return "\n".join(lines)


def outcome_summary(outcome: Outcome) -> str:
    """The verdict, what is free and who is in the way, in a few short lines."""
    lines = [f"{_TITLES[outcome.verdict.outcome]}, {say_bytes(outcome.free_bytes)} free"]
    holders = outcome.verdict.holders
    return "\n".join([*lines, *(f"held by {h.name}: {say_bytes(h.bytes)}" for h in holders)])


def _moved(outcome: Outcome) -> bool:
    """Whether something was asked to leave that could be there."""
    return outcome.request.action != "none" and outcome.moves_weights


def phase_text(stats: PhaseStats) -> str:
    """Peak, mean and minimum by channel, and how far the peak can be trusted."""
    length = stats.end - stats.begin
    lines = [f"phase {stats.name!r}: {length:.2f} s, {stats.samples} samples"]
    lines[0] += f", widest gap {stats.widest_gap * 1000:.0f} ms"
    for channel, entry in zip(CHANNELS, stats.channels, strict=True):
        if entry.peak is None:
            continue
        lines.append(
            f"  {_CHANNEL_NAMES[channel]}: peak {say_bytes(entry.peak)} ({entry.rank}), "
            f"mean {say_bytes(entry.mean)}, minimum {say_bytes(entry.minimum)}"
        )
    if stats.resets:
        times = f"{stats.resets} time{'s' if stats.resets > 1 else ''}"
        lines.append(f"  torch's peak counter was reset {times} by somebody else meanwhile")
    return "\n".join(lines)


def to_data(value: Any) -> Any:
    """Plain dicts, lists, numbers and strings of a record of either backend, ready for JSON."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, dict):
        return {str(key): to_data(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_data(entry) for entry in value]
    if is_dataclass(value):
        return {key: to_data(entry) for key, entry in asdict(value).items()}
    # A record of the native core: its fields are the properties without an underscore.
    names = [n for n in dir(type(value)) if isinstance(getattr(type(value), n), property)]
    return {name: to_data(getattr(value, name)) for name in names}


def phase_data(stats: PhaseStats) -> dict[str, Any]:
    """A phase with its channels by name."""
    data = to_data(stats)
    data["channels"] = dict(zip(CHANNELS, data["channels"], strict=True))
    return data


def outcome_data(outcome: Outcome) -> dict[str, Any]:
    """An outcome for JSON; tensors and modules of the request are left out."""
    request = outcome.request
    return {
        "request": {
            "action": request.action,
            "count": request.count,
            "may_stay": request.may_stay,
            "must_be_free": request.must_be_free,
        },
        "verdict": to_data(outcome.verdict),
        "first_verdict": to_data(outcome.first),
        "before": to_data(outcome.before),
        "after": to_data(outcome.after),
        "account": to_data(outcome.account),
        "free_bytes": outcome.free_bytes,
        "seconds": outcome.seconds,
        "unavailable": outcome.unavailable,
    }
