"""From a module to its program: asks each family in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import hunyuan10, hunyuan15, kl, wan, wan22
from .program import Declined, Program

if TYPE_CHECKING:
    import torch

_FAMILIES = (wan22, wan, hunyuan15, hunyuan10, kl)


def program_of(module: torch.nn.Module, operation: str, *, still: bool) -> Program:
    """The program of a module's "decode" or "encode", for clips or for single images.

    Raises Declined with the reason: an unknown class, or a known one with a part that is not.
    """
    for family in _FAMILIES:
        if family.accepts(module):
            try:
                if module.training:
                    raise Declined("the module is in training mode")
                walk = family.decode if operation == "decode" else family.encode
                return walk(module, still=still)
            except (AttributeError, IndexError, TypeError, ValueError) as error:
                # A class of this name whose inside is another one, e.g. after a patch.
                raise Declined(
                    f"{type(module).__name__} is not built as expected: {error}"
                ) from error
    raise Declined(f"{type(module).__name__} is of no family that is known layer by layer")
