"""What the panel in the editor asks for: /truetile/panel/... ; messages go out by websocket.

A panel opens, renews its lease while it is looked at, and closes. One that vanished is forgotten
when its lease runs out, or with its websocket; without a panel nothing is read and nothing sent.
"""

from __future__ import annotations

import asyncio
from typing import Any

from ..truetile import memory
from ..truetile.errors import InvalidArgument
from ..truetile.live import Feed, account_view
from ..truetile.memory.monitor import watched
from . import between_prompts, watching, web_routes

PREFIX = "/truetile/panel"
EVENT = "truetile.panel"


def register() -> None:
    """Adds the routes; without a web server nothing happens."""
    server = web_routes.prompt_server()
    if server is None:
        return
    panel = Panel(server)
    for path in ("open", "renew", "close", "offload", "report"):
        web_routes.post(server, f"{PREFIX}/{path}", getattr(panel, path))


class Panel:
    """The answers of the routes. server: ComfyUI's PromptServer."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self.feed = Feed(self._send, watching.activity)

    async def open(self, body: dict) -> dict:
        """{client} -> everything there is to show; see truetile.live.Feed."""
        return await asyncio.to_thread(self.feed.open, _client(body))

    async def renew(self, body: dict) -> dict:
        """{client} -> {missed}: whether the lease had run out, so that a new `open` is due."""
        return {"missed": self.feed.renew(_client(body))}

    async def close(self, body: dict) -> dict:
        """{client} -> {}. No more messages."""
        self.feed.close(_client(body))
        return {}

    async def offload(self, body: dict) -> dict:
        """All models off the device, before the next prompt, and the proof -> {outcome, text}."""

        def work() -> dict:
            with watched() as monitor:
                outcome = memory.offload(monitor.device, memory.Request("all"))
                monitor.record("offload", "asked in the panel", memory.outcome_data(outcome))
            return {"outcome": outcome.verdict.outcome, "text": memory.outcome_text(outcome)}

        return await asyncio.wrap_future(between_prompts.submit(self._server.prompt_queue, work))

    async def report(self, body: dict) -> dict:
        """The last reports, the phases and the account as text -> {text}."""

        def work() -> str:
            with watched() as monitor:
                parts = [told["text"] for told in reversed(watching.activity.data()["reports"])]
                parts += [monitor.text(), account_view.text(monitor.device)]
            return "\n\n".join(part for part in parts if part)

        return {"text": await asyncio.to_thread(work)}

    def _send(self, client: str, message: dict) -> bool:
        if client not in self._server.sockets:
            return False
        self._server.send_sync(EVENT, message, client)
        return True


def _client(body: dict) -> str:
    client = body.get("client")
    if not isinstance(client, str) or not client:
        raise InvalidArgument(f"client={client!r}: must be the id of an editor's websocket")
    return client
