"""An account in the groups that a picture of it has, each with a figure or the reason for none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..memory import MemoryDevice, account_text, holdings, take_account
from ..memory.core import Account, Part, Readings
from ..memory.devices import RamDevice

# What a part's kind counts as; every other kind is some tensor of this process.
_GROUPS = {
    "model": "models",
    "slack": "slack",
    "own": "own",
    "process": "processes",
    "unknown": "unknown",
}
_TITLES = {
    "models": "managed models",
    "tensors": "other tensors",
    "slack": "torch slack",
    "own": "this process outside torch",
    "processes": "other processes",
    "unknown": "unknown",
}
# In main memory nobody is asked what each tensor and each process holds.
_RAM_TITLES = _TITLES | {"own": "this process", "unknown": "unknown (rest of the machine)"}


def account_view(device: MemoryDevice) -> dict[str, Any]:
    """The account now. Cheap: tensors are not searched for, torch's own sum of them is used.

    Gives {device, total, used, free, groups, notes}. Bytes are None where this machine does not
    tell them; the group's `reason` says why. A group's `parts` are named: [{name, bytes, detail}].
    """
    readings = device.readings()
    account = take_account(device, holdings(device, scan=False), readings)
    return describe(
        device.name, account, readings, device.unavailable(), ram=isinstance(device, RamDevice)
    )


def describe(
    device: str, account: Account, readings: Readings, unavailable: dict[str, str], *, ram: bool
) -> dict[str, Any]:
    """`account_view` of an account that was taken with these readings."""
    missing = _missing(readings, unavailable)
    titles = _RAM_TITLES if ram else _TITLES
    groups = []
    for group, title in titles.items():
        parts = [part for part in account.parts if _group(part) == group]
        groups.append(_told(group, title, parts, missing.get(group, "")))
    known = account.total is not None and account.used is not None
    return {
        "device": device,
        "total": account.total,
        "used": account.used,
        "free": account.total - account.used if known else None,
        "groups": groups,
        "notes": list(account.notes),
    }


def text(device: MemoryDevice) -> str:
    """The same for people, with the search for tensors that the picture goes without."""
    return account_text(take_account(device, holdings(device), where=True))


def _group(part: Part) -> str:
    return _GROUPS.get(part.kind, "tensors")


def _told(group: str, title: str, parts: list[Part], reason: str) -> dict[str, Any]:
    count = sum(part.bytes for part in parts)
    # Buffers of a manager are known even where torch tells nothing.
    known = bool(count) or not reason
    return {
        "id": group,
        "title": title,
        "bytes": count if known else None,
        "reason": "" if known else reason,
        "parts": [
            {"name": part.name, "bytes": part.bytes, "detail": part.detail}
            for part in sorted(parts, key=_falling)
            if part.bytes
        ],
    }


def _falling(part: Part) -> int:
    return -part.bytes


def _missing(readings: Readings, unavailable: dict[str, str]) -> dict[str, str]:
    """By group: why this machine does not tell it."""
    without = "this machine does not tell it"
    tells: Iterable[tuple[str, str, Any]] = (
        ("tensors", "torch_allocated", readings.torch_allocated),
        ("slack", "torch_reserved", readings.torch_reserved),
        ("own", "own_process", readings.own_process),
        ("processes", "others", readings.others),
        ("unknown", "driver_used", readings.driver_used),
    )
    return {
        group: unavailable.get(reading, without) for group, reading, value in tells if value is None
    }
