"""What `truetile memory` and `truetile run` ask a running server for: /truetile/memory/...

repair and growth run on the prompt thread, between prompts; phase and allocator only read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from ..truetile import memory
from ..truetile.errors import InvalidArgument
from ..truetile.memory import allocator
from ..truetile.memory.core import Account
from ..truetile.memory.growth import GrowthWatcher, kept_bytes, own_bytes
from ..truetile.memory.repair import Repair, repair
from . import between_prompts, memory_knobs, web_routes

PREFIX = "/truetile/memory"
Answer = Callable[[Any, dict], Awaitable[dict]]  # of the queue of prompts and a body
_growth = GrowthWatcher()


def register() -> None:
    """Adds the routes; without a web server nothing happens."""
    server = web_routes.prompt_server()
    if server is None:
        return
    answers = {"repair": _repair, "growth": _see, "phase": _phase, "allocator": _allocator}
    for path, answer in answers.items():

        def work(body: dict, answer: Answer = answer) -> Awaitable[dict]:
            return answer(server.prompt_queue, body)

        web_routes.post(server, f"{PREFIX}/{path}", work)


async def _between(queue: Any, body: dict, work: Callable[[], dict]) -> dict:
    if not body.get("wait") and between_prompts.busy(queue):
        raise web_routes.Busy("a prompt is running or waiting: try again later, or with wait")
    return await asyncio.wrap_future(between_prompts.submit(queue, work))


async def _repair(queue: Any, body: dict) -> dict:
    """{goal: bytes, wait} -> before and after of each step. Without a goal it goes all the way."""
    goal = body.get("goal")
    if goal is not None and (type(goal) is not int or goal < 1):
        raise InvalidArgument(f"goal={goal}: must be a whole number of bytes, at least 1")

    def work() -> dict:
        device = memory.monitor().device
        # More than the device has is never met, so every step is done.
        done = repair(device, goal or (device.readings().driver_total or 0) + 1)
        memory.monitor().record("repair", "asked from outside", {"text": str(done)})
        return _data(done, device.name, goal) | {"kept_bytes": _kept(device, done.account)}

    return await _between(queue, body, work)


def _data(done: Repair, device: str, goal: int | None) -> dict:
    steps = [
        {
            "name": step.name, "free_before": step.free_before, "free_after": step.free_after,
            "detail": step.detail,
        }
        for step in done.steps
    ]  # fmt: skip
    left = [{"name": o.name, "bytes": o.bytes, "detail": o.detail} for o in done.left]
    return {
        "device": device,
        "goal": goal,
        "met": done.met if goal else None,
        "free": done.free,
        "steps": steps,
        "left": left,
        "restart": done.restart if goal else "",
        "own_bytes": own_bytes(done.account),
    }


def _kept(device: memory.MemoryDevice, account: Account) -> int | None:
    return kept_bytes(account, memory.holdings(device, scan=False), device.stranded())


async def _see(queue: Any, body: dict) -> dict:
    """{place, wait} -> what this process holds, and whether it grew at `place` time after time.

    began_at: what of it no manager could give back before it began to grow; as kept_bytes of a
    repair, which says whether that has come back.
    """
    place = str(body.get("place", ""))

    def work() -> dict:
        device = memory.monitor().device
        held = memory.holdings(device)
        account = memory.take_account(device, held, where=True)
        growth = _growth.see(place, device, account, held)
        kept = kept_bytes(account, held, device.stranded())
        return {
            "own_bytes": own_bytes(account),
            "free": device.free_bytes(),
            "growing": str(growth) if growth is not None else "",
            "began_at": growth and kept - growth.bytes_per_run * (growth.runs - 1),
        }

    return await _between(queue, body, work)


async def _allocator(queue: Any, body: dict) -> dict:
    """The settings of torch's allocator that are in force in this process, as lines for people."""
    device = memory.monitor().device
    found = allocator.settings(device.backend, dynamic_vram=memory_knobs.dynamic())
    return {"device": device.name, "backend": device.backend, "text": str(found)}


async def _phase(queue: Any, body: dict) -> dict:
    """{begin: name} -> {id}; {end: id} -> the phase. May overlap with those of checkpoints."""
    monitor = memory.monitor()
    monitor.feed()
    if "end" in body:
        if type(body["end"]) is not int:
            raise InvalidArgument(f"end={body['end']}: must be the id of a phase")
        data = memory.phase_data(monitor.sampler.end_phase(body["end"]))
        return data | {
            "device": monitor.device.name,
            "total": monitor.device.readings().driver_total,
        }
    return {"id": monitor.sampler.begin_phase(str(body.get("begin", "")))}
