"""The way back: what a conversion changed, kept in the document, and taken back by `undo`.

A change is a tree that follows the document. Lists whose members have ids or names are followed by
them, and rows of a link table by their fields, so that a workflow that the editor has saved again,
perhaps in another format, can still be taken back.
"""

from __future__ import annotations

import copy
from typing import Any

from .json_text import Path, spell
from .rewrite import same
from .ui_links import as_fields, as_row, is_row

Change = dict[str, Any]
# A node's type decides what its widgets' values mean: one does not go back without the other.
_GO_TOGETHER = ("type", "class_type", "widgets_values", "widgets_values_named")
_COUNTERS = ("last_node_id", "last_link_id", "lastNodeId", "lastLinkId")


def change(now: Any, was: Any) -> Change | None:
    """What leads from `now` back to `was`; None where they are the same."""
    if same(now, was):
        return None
    if isinstance(now, dict) and isinstance(was, dict):
        names = [*now, *(name for name in was if name not in now)]
        found = {name: _member(now, was, name) for name in names}
        return {"keys": {name: entry for name, entry in found.items() if entry is not None}}
    if isinstance(now, list) and isinstance(was, list):
        if is_row(now) and is_row(was) and len(now) == len(was):
            return change(as_fields(now), as_fields(was))
        by_name = _by_name(now, was)
        if by_name is not None:
            return by_name
    return {"is": now, "was": was}


def take_back(now: Any, entry: Change, notes: list[str], path: Path = ()) -> Any:
    """`now` without the change. What was edited since stays as it is, and is noted."""
    if "is" in entry:
        return _value_back(now, entry, notes, path)
    if "keys" in entry and isinstance(now, dict):
        return _keys_back(now, entry["keys"], notes, path)
    if "keys" in entry and is_row(now):
        return as_row(_keys_back(as_fields(now), entry["keys"], notes, path))
    if "items" in entry and isinstance(now, list):
        return _items_back(now, entry["items"], notes, path)
    notes.append(f"{spell(path)}: was changed since, and stays as it is")
    return now


def _value_back(now: Any, entry: Change, notes: list[str], path: Path) -> Any:
    if same(now, entry["is"]):
        return copy.deepcopy(entry["was"])
    if path[-1] in _COUNTERS:
        return now  # something was added since, and its number is taken
    if path[-1] in _GO_TOGETHER:
        notes.append(f"{spell(path)}: was changed since, and is as before the conversion again")
        return copy.deepcopy(entry["was"])
    notes.append(f"{spell(path)}: was changed since, and stays as it is")
    return now


def _member(now: dict, was: dict, name: Any) -> Change | None:
    if name not in was:
        return {"added": True}
    if name not in now:
        return {"gone": was[name]}
    return change(now[name], was[name])


def _keys_back(now: dict, keys: dict[str, Change], notes: list[str], path: Path) -> dict:
    result = dict(now)
    for name, entry in keys.items():
        if "added" in entry:
            result.pop(name, None)
        elif "gone" in entry:
            result.setdefault(name, copy.deepcopy(entry["gone"]))
        elif name in result:
            result[name] = take_back(result[name], entry, notes, (*path, name))
    return result


def _by_name(now: list, was: list) -> Change | None:
    """The change of a list by its members' names; None where the list has to be taken whole."""
    names_now, names_was = _names(now), _names(was)
    if names_now is None or names_was is None:
        return None
    items: list[list] = []
    for name, value in zip(names_now, now, strict=True):
        if name not in names_was:
            items.append([name, {"added": True}])
        elif (entry := change(value, was[names_was.index(name)])) is not None:
            items.append([name, entry])
    for index, (name, value) in enumerate(zip(names_was, was, strict=True)):
        if name not in names_now:
            items.append([name, {"gone": value, "index": index}])
    # A new order is no change that these words can tell.
    again = _items_back(now, items, [], ())
    return {"items": items} if same(again, was) else None


def _items_back(now: list, items: list[list], notes: list[str], path: Path) -> list:
    result = list(now)
    for name, entry in items:
        names = _names(result) or []
        index = names.index(name) if name in names else None
        if "gone" in entry:
            if index is None:
                result.insert(entry["index"], copy.deepcopy(entry["gone"]))
        elif index is None:
            if "added" not in entry:
                notes.append(f"{spell(path)}: {name} is gone since, and stays so")
        elif "added" in entry:
            del result[index]
        else:
            result[index] = take_back(result[index], entry, notes, (*path, index))
    return result


def _names(values: list) -> list[Any] | None:
    """A name for each member: its id, its name, or the first field of a link's row."""
    found = []
    for value in values:
        if isinstance(value, dict):
            name = value.get("id", value.get("name"))
        else:
            name = value[0] if is_row(value) else None
        if type(name) not in (int, str):
            return None
        found.append(name)
    return found if len({(type(name), name) for name in found}) == len(found) else None
