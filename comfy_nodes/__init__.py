"""The ComfyUI adapter: node schemas and the model manager, and nothing that computes.

Importing this package imports neither ComfyUI nor torch; `comfy_entrypoint` does.
"""


async def comfy_entrypoint():
    """Called once by ComfyUI's loader; gives the extension with all nodes."""
    from .extension import TrueTileExtension

    return TrueTileExtension()
