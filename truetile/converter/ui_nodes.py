"""Nodes as the editor writes them: TrueTile's in the place of others, and new ones."""

from __future__ import annotations

from typing import Any

from . import layout
from .node_types import NewNode, Replacement, properties

_OPTIONAL = 7  # LiteGraph's shape of a socket that may stay empty
# They grow to about this height once they show what they got, which a file need not have seen yet.
_SHOWING = ("SaveImage", "PreviewImage", "SaveAnimatedWEBP", "SaveAnimatedPNG", "SaveVideo")
_SHOWN_HEIGHT = 340


def box(raw: dict[str, Any]) -> layout.Box | None:
    return layout.box_of(raw.get("pos"), raw.get("size"))


def box_when_run(raw: dict[str, Any]) -> layout.Box | None:
    """Its box with room for the picture that it will show."""
    found = box(raw)
    if found is None or raw.get("type") not in _SHOWING:
        return found
    return found._replace(h=max(found.h, _SHOWN_HEIGHT))


def become(raw: dict[str, Any], replacement: Replacement) -> None:
    """Makes the node TrueTile's. Id, mode, wires, colours and a title of the user's own stay."""
    new = replacement.new
    raw["type"] = new.type
    if raw.get("title") == replacement.title:
        raw["title"] = new.title
    raw["properties"] = properties(raw.get("properties") or {}, new)
    values = replacement.values(_widgets(raw, replacement.widgets))
    raw["widgets_values"] = list(values.values())
    if isinstance(raw.get("widgets_values_named"), dict):
        raw["widgets_values_named"] = values
    outputs = raw.get("outputs") or []
    for name, kind in new.outputs[len(outputs) :] if outputs else []:
        words = {"localized_name": name} if "localized_name" in outputs[0] else {}
        outputs.append({**words, "name": name, "type": kind, "links": None})


def fit(raw: dict[str, Any], others: list[dict[str, Any]]) -> None:
    """Gives the node the room that its widgets need, beside the other nodes."""
    was = box(raw)
    if was is None or (raw.get("flags") or {}).get("collapsed"):
        return
    values = raw["widgets_values"]
    slots = [slot for slot in raw.get("inputs") or [] if "widget" not in slot]
    rows = max(len(slots), len(raw.get("outputs") or []))
    height = 20 * rows + 24 * len(values) + 16
    if was.h >= height and was.w >= _MIN_WIDTH:
        return
    grown = was._replace(w=max(was.w, _MIN_WIDTH), h=max(was.h, height))
    taken = [found for other in others if (found := _beside(other, was)) is not None]
    if any(found.meets(grown) for found in taken):
        moved = layout.free_place(grown, taken)
        raw["pos"] = _like(raw["pos"], moved.x, moved.y)
    raw["size"] = _like(raw.get("size"), grown.w, grown.h)


_MIN_WIDTH = 270


def _beside(other: dict[str, Any], was: layout.Box) -> layout.Box | None:
    """Where another node stands; None for one that the user has laid over this one already."""
    for found in (box_when_run(other), box(other)):
        if found is not None and not found.meets(was):
            return found
    return None


def build(
    new: NewNode, node_id: int, place: layout.Box, order: int, entering: Any, leaving: list[Any]
) -> dict[str, Any]:
    """A whole new node, with the link that enters it and those that leave it."""
    inputs = []
    for name, kind in new.type.sockets.items():
        shape = {"shape": _OPTIONAL} if name in new.type.optional else {}
        link = entering if name == new.socket else None
        inputs.append({"name": name, **shape, "type": kind, "link": link})
    outputs = [{"name": name, "type": kind, "links": None} for name, kind in new.type.outputs]
    outputs[0]["links"] = leaving
    return {
        "id": node_id,
        "type": new.type.type,
        "pos": [place.x, place.y],
        "size": [place.w, place.h],
        "flags": {},
        "order": order,
        "mode": 0,
        "inputs": inputs,
        "outputs": outputs,
        "properties": properties({}, new.type),
        "widgets_values": list(new.widget_values().values()),
    }


def _widgets(raw: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Widget values by name; some packs write them so, the rest in the order of the widgets."""
    values = raw.get("widgets_values")
    if isinstance(values, dict):
        return values
    return dict(zip(names, values, strict=False)) if isinstance(values, list) else {}


def _like(old: Any, a: float, b: float) -> Any:
    """A pair in the spelling of `old`."""
    return {**old, "0": a, "1": b} if isinstance(old, dict) else [a, b]
