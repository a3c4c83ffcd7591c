"""What an offload is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from ..errors import InvalidArgument

ACTIONS = ("none", "all", "all_but", "models", "bytes")


@dataclass(frozen=True)
class Request:
    """What is to leave, and what has to be true afterwards.

    action: "none" (only look and check the budgets), "all", "all_but" (models of `models` stay),
    "models" (only they leave), "bytes" (`count` bytes leave). models: keys of ManagedModel.
    may_stay, must_be_free: bytes or None. own_tensors: tensors that are meant to stay.
    private: modules of custom nodes that the user named; they are moved to the CPU.
    """

    action: str = "all"
    models: tuple[int, ...] = ()
    count: int = 0
    may_stay: int | None = None
    must_be_free: int | None = None
    clear_cache: bool = True
    own_tensors: tuple[torch.Tensor, ...] = field(default=(), repr=False)
    private: tuple[torch.nn.Module, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise InvalidArgument(f"action={self.action}: must be one of {', '.join(ACTIONS)}")
        if self.count < 0:
            raise InvalidArgument(f"count={self.count}: must be at least 0 bytes")
        for name in ("may_stay", "must_be_free"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise InvalidArgument(f"{name}={value}: must be None or at least 0 bytes")

    def stays(self, key: int) -> bool:
        """Whether the model with this key is meant to stay whole."""
        if self.action in ("all", "bytes"):
            return False
        return (key in self.models) == (self.action != "models") or self.action == "none"
