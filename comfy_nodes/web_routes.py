"""Routes of ComfyUI's web server that take a JSON object and answer with one."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from ..truetile.errors import InvalidArgument


class Busy(Exception):
    """What is asked for has to wait for a prompt, and the caller does not want to."""


def prompt_server() -> Any | None:
    """ComfyUI's PromptServer; None without a web server, as in a tool that imports the nodes."""
    try:
        from server import PromptServer

        return PromptServer.instance
    except (ImportError, AttributeError):
        return None


def post(server: Any, path: str, work: Callable[[dict], Awaitable[dict]]) -> None:
    """Answers POSTs to `path` with what `work` makes of the object in them; none is an empty one.

    A body that is no object, or InvalidArgument, is answered with status 400, Busy with 409, and
    the reason as "error".
    """
    from aiohttp import web

    async def handle(request: Any) -> Any:
        try:
            body = await request.json() if request.can_read_body else {}
            if not isinstance(body, dict):
                raise InvalidArgument("body: must be a JSON object")
            return web.json_response(await work(body))
        except (InvalidArgument, json.JSONDecodeError) as error:
            return web.json_response({"error": str(error)}, status=400)
        except Busy as error:
            return web.json_response({"error": str(error)}, status=409)

    server.routes.post(path)(handle)
