"""POST /truetile/convert: what the button in the editor sends a workflow to."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

from ..truetile.converter import convert, undo
from ..truetile.errors import InvalidArgument
from . import web_routes

PATH = "/truetile/convert"
_OPTIONS = ("wrap", "checkpoints", "undo")


def register() -> None:
    """Adds the route; without a web server nothing happens."""
    server = web_routes.prompt_server()
    if server is not None:
        web_routes.post(server, PATH, _answer)


async def _answer(body: dict) -> dict[str, Any]:
    # A large workflow takes a second: the server goes on answering meanwhile.
    return await asyncio.to_thread(answer, body)


def answer(body: Any) -> dict[str, Any]:
    """{workflow, wrap, checkpoints, budgets, undo} -> {workflow, format, changed, steps, notes}.

    `workflow` is a document of any format, and comes back converted, or as it was where there was
    nothing to do. Raises InvalidArgument.
    """
    if not isinstance(body, dict) or not isinstance(body.get("workflow"), dict):
        raise InvalidArgument("body: must be a JSON object with a 'workflow' in it")
    for name in _OPTIONS:
        if not isinstance(body.get(name, False), bool):
            raise InvalidArgument(f"{name}={body[name]}: must be true or false")
    budgets = body.get("budgets") or {}
    if not isinstance(budgets, dict):
        raise InvalidArgument(f"budgets={budgets}: must be an object of GiB by phase")
    if body.get("undo"):
        done = undo(body["workflow"])
    else:
        options = {"wrap": body.get("wrap", False), "checkpoints": body.get("checkpoints", False)}
        done = convert(body["workflow"], budgets=budgets, **options)
    return {
        "workflow": done.document,
        "format": done.format,
        "changed": done.changed,
        "steps": [{**asdict(step), "line": str(step)} for step in done.steps],
        "notes": list(done.notes),
    }
