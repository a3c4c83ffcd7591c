"""TrueTile's own nodes as a workflow writes them, and the types that they take the place of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .. import __version__

PACK = "truetile"
SETTINGS = {
    "mode": ("COMBO", "auto"),
    "budget_gib": ("FLOAT", 0),
    "tile_size": ("INT", 512),
    "overlap": ("INT", 64),
    "temporal_size": ("INT", 64),
    "temporal_overlap": ("INT", 8),
}
# What the nodes accept; twins of other packs go further.
_LIMITS = {"tile_size": (64, 4096)}
# The name under which an editor finds a node's definition again.
DEFINITION = "Node name for S&R"


@dataclass(frozen=True)
class NodeType:
    """A node of TrueTile: sockets and widgets with type and usual value, in schema order."""

    type: str
    title: str
    sockets: dict[str, str]
    widgets: dict[str, tuple[str, Any]]
    outputs: list[tuple[str, str]]
    optional: tuple[str, ...] = ()

    def size(self, sockets: int) -> tuple[int, int]:
        """Width and height in the editor's units, the title bar aside."""
        rows = max(sockets, len(self.outputs))
        return 320, 20 * rows + 24 * len(self.widgets) + 16


DECODE = NodeType(
    "TrueTileVAEDecode", "TrueTile VAE Decode",
    {"samples": "LATENT", "vae": "VAE"}, SETTINGS, [("IMAGE", "IMAGE"), ("report", "STRING")],
)  # fmt: skip
ENCODE = NodeType(
    "TrueTileVAEEncode", "TrueTile VAE Encode",
    {"pixels": "IMAGE", "vae": "VAE"}, SETTINGS, [("LATENT", "LATENT"), ("report", "STRING")],
)  # fmt: skip
WRAP = NodeType("TrueTileVAE", "TrueTile VAE", {"vae": "VAE"}, SETTINGS, [("VAE", "VAE")])
CHECKPOINT = NodeType(
    "MemoryCheckpoint", "TrueTile Memory Checkpoint",
    {"anything": "*", "model": "MODEL", "clip": "CLIP", "vae": "VAE"},
    {
        "phase": ("STRING", "phase"),
        "action": ("COMBO", "observe"),
        "may_stay_gib": ("FLOAT", 0),
        "must_be_free_gib": ("FLOAT", 0),
        "on_violation": ("COMBO", "warn"),
        "clear_torch_cache": ("BOOLEAN", True),
        "reserve_gib": ("FLOAT", 0),
        "private_modules": ("STRING", ""),
    },
    [
        ("anything", "*"), ("MODEL", "MODEL"), ("CLIP", "CLIP"), ("VAE", "VAE"),
        ("free_bytes", "INT"), ("report", "STRING"),
    ],
    optional=("model", "clip", "vae"),
)  # fmt: skip
OURS = {entry.type: entry for entry in (DECODE, ENCODE, WRAP, CHECKPOINT)}


@dataclass(frozen=True)
class Replacement:
    """A type that TrueTile's node takes the place of. Widgets of equal name keep their values."""

    old: str
    new: NodeType
    title: str
    widgets: tuple[str, ...] = ()

    @property
    def lost(self) -> tuple[str, ...]:
        """The widgets that TrueTile's node has no use for."""
        return tuple(name for name in self.widgets if name not in self.new.widgets)

    def values(self, old: dict[str, Any]) -> dict[str, Any]:
        """All widgets of the new node; what means the same keeps the value it has in `old`."""
        values = {name: value for name, (_, value) in self.new.widgets.items()}
        for name in set(self.widgets) & values.keys() & old.keys():
            if type(old[name]) in (int, float):
                low, high = _LIMITS.get(name, (old[name], old[name]))
                values[name] = min(max(old[name], low), high)
        return values


_TILES = ("tile_size", "overlap", "temporal_size", "temporal_overlap")
REPLACED = {
    entry.old: entry
    for entry in (
        Replacement("VAEDecode", DECODE, "VAE Decode"),
        Replacement("VAEDecodeTiled", DECODE, "VAE Decode (Tiled)", _TILES),
        Replacement("VAEEncode", ENCODE, "VAE Encode"),
        Replacement("VAEEncodeTiled", ENCODE, "VAE Encode (Tiled)", _TILES),
        # ComfyUI-TiledDiffusion; "fast" is what makes its tiles differ from the whole picture.
        Replacement(
            "VAEDecodeTiled_TiledDiffusion", DECODE, "Tiled VAE Decode", ("tile_size", "fast")
        ),
        Replacement(
            "VAEEncodeTiled_TiledDiffusion", ENCODE, "Tiled VAE Encode",
            ("tile_size", "fast", "color_fix"),
        ),
        # ComfyUI-VideoHelperSuite
        Replacement(
            "VHS_VAEDecodeBatched", DECODE, "VAE Decode Batched 🎥🅥🅗🅢", ("per_batch",)
        ),
        Replacement(
            "VHS_VAEEncodeBatched", ENCODE, "VAE Encode Batched 🎥🅥🅗🅢", ("per_batch",)
        ),
    )
}  # fmt: skip


@dataclass(frozen=True)
class NewNode:
    """A node to insert: what goes through it enters at its first socket, leaves at output 0."""

    type: NodeType
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def socket(self) -> str:
        return next(iter(self.type.sockets))

    def widget_values(self) -> dict[str, Any]:
        usual = {name: value for name, (_, value) in self.type.widgets.items()}
        return {**usual, **self.values}


def properties(old: dict[str, Any], node_type: NodeType) -> dict[str, Any]:
    """A node's `properties` with TrueTile as the pack that it is from."""
    ours = {DEFINITION: node_type.type, "cnr_id": PACK, "ver": __version__}
    kept = {name: value for name, value in old.items() if name != "aux_id"}
    return {**kept, **ours}
