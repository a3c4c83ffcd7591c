"""GET /probe/panel: what runs in this process only because somebody watches."""

import sys
import threading

from aiohttp import web
from server import PromptServer


@PromptServer.instance.routes.get("/probe/panel")
async def panel(request):
    name = next(name for name in sys.modules if name.endswith("truetile.memory.monitor"))
    monitor = sys.modules[name]._monitor
    return web.json_response(
        {
            "feeding": any(one.name == "truetile-feed" for one in threading.enumerate()),
            "sampling": monitor is not None and monitor.sampler.running,
            "taken": monitor.sampler.taken if monitor is not None else 0,
        }
    )
