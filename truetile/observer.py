"""What `truetile.decode` and `truetile.encode` tell somebody who watches them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .engine.output import HostBatch


class Observer(Protocol):
    """Called on the thread that decodes; what it raises ends the call."""

    def begun(self, plan: Callable[[], str], why: str, picture: HostBatch | None) -> None:
        """The plan is chosen and the work begins.

        plan: says by which plan it works now, which changes when memory runs out; may be asked
        from any thread. picture: a decode's result, to be read by a `PartialPicture` between two
        calls of `progress`; None where what is written is no picture.
        """
        ...
