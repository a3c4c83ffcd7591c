"""POST /probe/validate: ComfyUI's own checks of a prompt, without queueing it."""

import execution
from aiohttp import web
from server import PromptServer


@PromptServer.instance.routes.post("/probe/validate")
async def validate(request):
    valid, error, _, node_errors = await execution.validate_prompt(
        "probe", await request.json(), None
    )
    nodes = {
        name: [[entry["type"], entry["extra_info"].get("input_name")] for entry in found["errors"]]
        for name, found in node_errors.items()
    }
    return web.json_response({"valid": valid, "error": error, "nodes": nodes})
