"""The schemas of all nodes as data, loaded from the pack with a stand-in for ComfyUI's node API."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

from docs_tools import ROOT

_NAME = "truetile_pack_for_its_schemas"


@dataclass
class Slot:
    """An input or output; `id` is an input's name, `options` are those of a choice."""

    id: str | None = None
    display_name: str | None = None
    tooltip: str | None = None
    options: list[str] | None = None


@dataclass
class Schema:
    node_id: str
    display_name: str
    description: str
    category: str = ""
    inputs: list[Slot] = field(default_factory=list)
    outputs: list[Slot] = field(default_factory=list)
    hidden: list = field(default_factory=list)
    search_aliases: list = field(default_factory=list)
    is_output_node: bool = False
    not_idempotent: bool = False


def _slot(id: str | None = None, display_name=None, tooltip=None, options=None, **_: Any) -> Slot:
    return Slot(id, display_name, tooltip, options)


class _Io(ModuleType):
    """`comfy_api.latest.io`: every type makes slots."""

    Schema = Schema
    ComfyNode = object
    Hidden = SimpleNamespace(unique_id="UNIQUE_ID")
    NodeOutput = object

    def __getattr__(self, _: str) -> Any:
        kind = type("Kind", (), {})
        kind.Input = kind.Output = staticmethod(_slot)
        return kind

    def Custom(self, _: str) -> Any:
        return self.Any


def load(monkeypatch) -> dict[str, Schema]:
    """Node id and schema of each node of the extension, in the order of the menu."""
    latest = ModuleType("comfy_api.latest")
    latest.io, latest.ui, latest.ComfyExtension = _Io("io"), SimpleNamespace(), object
    for name, module in {"comfy_api": ModuleType("comfy_api"), latest.__name__: latest}.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, "server", raising=False)
    spec = importlib.util.spec_from_file_location(_NAME, ROOT / "__init__.py")
    pack = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, _NAME, pack)
    before = set(sys.modules)
    try:
        spec.loader.exec_module(pack)
        extension = asyncio.run(pack.comfy_entrypoint())
        nodes = asyncio.run(extension.get_node_list())
        return {node.define_schema().node_id: node.define_schema() for node in nodes}
    finally:
        for name in set(sys.modules) - before:
            if name.startswith(_NAME):
                del sys.modules[name]
