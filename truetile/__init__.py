"""TrueTile: tiled VAE encode and decode with an out-of-memory ladder and honest reports."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"
__all__ = [
    "Affine",
    "BudgetError",
    "Callables",
    "InvalidArgument",
    "LadderExhausted",
    "NonFiniteError",
    "Report",
    "WorkflowError",
    "convert",
    "decode",
    "encode",
    "undo",
]

_HOMES = {
    "Affine": "engine.ports",
    "Callables": "engine.callables_port",
    "BudgetError": "errors",
    "InvalidArgument": "errors",
    "LadderExhausted": "errors",
    "NonFiniteError": "errors",
    "Report": "report",
    "WorkflowError": "errors",
    "convert": "converter",
    "undo": "converter",
    "decode": "api",
    "encode": "api",
}


def __getattr__(name: str) -> Any:
    # Lazy, so that the command line and the node list appear without waiting for torch.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
