"""Between scenes: does memory come back? A restart only where nothing else helps, and only ours."""

from __future__ import annotations

from collections.abc import Callable

from ..native.memory import say_bytes
from ..watch.cli_repair import ROUTE as REPAIR
from ..watch.client import Client, Refused, ServerSilent

GROWTH = "/truetile/memory/growth"
_NOISE = 64 * 2**20
_PATIENCE = 600.0  # seconds: it is done after the prompts of others, and unloading takes its time


class Recover:
    """Asked after each scene. `restart`: restarts the server, None where it is not ours."""

    def __init__(self, restart: Callable[[], None] | None, say: Callable[[str], None]) -> None:
        self._restart, self._say = restart, say
        self._told = False

    def after(self, client: Client, scene: str) -> int | None:
        """Repairs, restarts or says what is needed; gives what the server's process holds."""
        try:
            seen = client.post(GROWTH, {"place": "between scenes", "wait": True}, _PATIENCE)
        except (Refused, ServerSilent) as error:
            if not self._told:
                self._told = True
                why = str(error)
                if isinstance(error, Refused) and error.status in (404, 405):
                    why = "the server has no TrueTile nodes"
                self._say(f"whether memory comes back cannot be told: {why}")
            return None
        if seen["growing"] and seen["began_at"] is not None:
            self._bring_back(client, scene, seen)
        return seen["own_bytes"]

    def _bring_back(self, client: Client, scene: str, seen: dict) -> None:
        growing = " ".join(seen["growing"].split())
        try:
            left = client.post(REPAIR, {"wait": True}, _PATIENCE)["kept_bytes"]
        except (Refused, ServerSilent) as error:
            self._say(f"after {scene}: {growing}; the repair failed: {error}")
            return
        if left is None or left <= seen["began_at"] + _NOISE:
            self._say(f"after {scene}: {growing}; repaired, {say_bytes(left)} are held now")
            return
        held = f"after {scene}: {growing}; a repair left {say_bytes(left)}"
        if self._restart is None:
            self._say(f"{held}: restart ComfyUI; it was not started here, so it is left running")
            return
        self._say(f"{held}: ComfyUI is restarted")
        self._restart()
