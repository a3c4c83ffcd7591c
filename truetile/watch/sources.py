"""Where readings come from: the server, and the driver when the server is silent."""

from __future__ import annotations

from . import driver
from .client import Client, Refused, ServerSilent
from .reading import Reading, from_system_stats

STATS = "/system_stats"


class NoReading(Exception):
    """Neither the server nor the driver can be asked; the message says why."""


def read(client: Client, timeout: float = 3.0) -> list[Reading]:
    """What is known now, one entry for each device. Raises NoReading.

    A busy ComfyUI may be silent for seconds, and a crashed one for good: then the driver's figures
    are used, and each says so in its note.
    """
    try:
        readings = from_system_stats(client.get(STATS, timeout), "ComfyUI")
        why = f"{client.url}{STATS} names no device"
    except (ServerSilent, Refused) as error:
        readings, why = [], str(error)
    if any(reading.total is not None or reading.free is not None for reading in readings):
        return readings
    if readings:
        why = f"{client.url}{STATS} tells no figure that is known here"
    try:
        found = driver.read()
    except driver.NoDriver as error:
        raise NoReading(f"{why}; {error}") from None
    return [
        Reading(r.device, r.source, r.total, r.free, note=f"server silent: {why}") for r in found
    ]
