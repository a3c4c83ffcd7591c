"""What ComfyUI loads from custom_nodes/. The nodes live in comfy_nodes, the library in truetile."""

WEB_DIRECTORY = "./comfy_nodes/web"

__all__ = ["WEB_DIRECTORY"]

# ComfyUI imports this folder as a package under a name of its own, so only relative imports work.
# A tool that imports this file alone (a linter, a test collector) has no package around it.
if __package__:
    from .comfy_nodes import comfy_entrypoint

    __all__ += ["comfy_entrypoint"]
