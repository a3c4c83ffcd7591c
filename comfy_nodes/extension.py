"""The list of nodes, in the order of the menu."""

from comfy_api.latest import ComfyExtension, io

from . import convert_routes, memory_routes, memory_service, panel_routes, vae_port
from .nodes_memory import FreeMemoryProbe, MemoryCheckpoint, MemoryReport
from .nodes_vae import TrueTileVAE, TrueTileVAEDecode, TrueTileVAEEncode

# From here on truetile.decode and truetile.encode take a comfy.sd.VAE as well.
vae_port.register()
# And every account of memory names ComfyUI's models.
memory_service.setup()
# The command line asks a running server through these.
memory_routes.register()
# And the editor has workflows converted.
convert_routes.register()
# And its panel is told what memory and a running decode do.
panel_routes.register()


class TrueTileExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [
            TrueTileVAEDecode,
            TrueTileVAEEncode,
            TrueTileVAE,
            MemoryCheckpoint,
            MemoryReport,
            FreeMemoryProbe,
        ]
