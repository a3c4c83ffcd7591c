"""What the memory nodes do between phases: checkpoints and probes."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch

from ..truetile import memory
from ..truetile.memory import allocator, private
from ..truetile.memory.core import Account
from ..truetile.memory.growth import GrowthWatcher
from ..truetile.memory.repair import repair
from ..truetile.memory.why_slow import Explanation, LoadWatcher
from . import memory_knobs, memory_labels, memory_models

GIB = 2**30
ACTIONS = ("observe", "verify", "offload", "offload all but connected models", "repair")
log = logging.getLogger("truetile")
_growth = GrowthWatcher()
_told: set[str] = set()  # what is said once in a process


class MemoryBudgetError(RuntimeError):
    """A checkpoint's budget is not kept; the message names who holds the memory."""


@dataclass(frozen=True)
class Checkpoint:
    """What the inputs of a MemoryCheckpoint say. Sizes in GiB; 0 is "no budget"."""

    phase: str
    action: str = "observe"
    may_stay_gib: float = 0.0
    must_be_free_gib: float = 0.0
    on_violation: str = "warn"
    clear_torch_cache: bool = True
    reserve_gib: float = 0.0
    private_modules: str = ""


def setup() -> None:
    """Once, when ComfyUI loads the pack: ComfyUI's models become part of every account."""
    memory.register_manager(memory_models.ComfyModels())
    memory_labels.register()
    root = logging.getLogger()  # ComfyUI logs its loads there
    if not any(isinstance(handler, LoadWatcher) for handler in root.handlers):
        root.addHandler(LoadWatcher(_account, _explain))


@dataclass(frozen=True)
class Checked:
    """What a checkpoint gives: the report, its gist for the node, free bytes (-1: unknown)."""

    text: str
    short: str
    free: int


def checkpoint(settings: Checkpoint, through: Any, models: Iterable[Any]) -> Checked:
    """Ends the phase before, does what is asked, begins `settings.phase`.

    Raises MemoryBudgetError when a budget is not kept and `on_violation` is "error".
    """
    monitor = memory.monitor()
    device = monitor.device
    ended = monitor.end_phase()
    memory_knobs.end_phase()
    lines = [f"TrueTile memory checkpoint {settings.phase!r}: {settings.action}"]
    if ended is not None:
        lines.append(memory.phase_text(ended))
    if settings.action == "repair":
        lines.append(_repair(settings, monitor))
    request, missing = _request(settings, through, list(models))
    outcome = memory.offload(device, request)
    lines.append(memory.outcome_text(outcome))
    lines += [f"private module {name!r}: none is alive" for name in missing]
    if grown := _growing(settings.phase, device, outcome):
        lines.append(grown)
    if "allocator" not in _told:
        _told.add("allocator")
        lines.append(str(allocator.settings(device.backend, dynamic_vram=memory_knobs.dynamic())))
    if settings.must_be_free_gib > 0 and settings.action.startswith("offload"):
        count = int(settings.must_be_free_gib * GIB)
        lines += memory_knobs.keep_free_for_phase(count, _prompt_id())
    if settings.reserve_gib > 0:
        lines += memory_knobs.reserve_for_phase(int(settings.reserve_gib * GIB), _prompt_id())
    text = "\n".join(lines)
    data = memory.outcome_data(outcome) | {"action": settings.action, "prompt": _prompt_id()}
    monitor.record("checkpoint", settings.phase, data)
    monitor.begin_phase(settings.phase)
    if _violated(settings, outcome):
        if settings.on_violation == "error":
            memory_knobs.end_phase()
            raise MemoryBudgetError(text)
        log.warning(text)
    else:
        log.info(text)
    free = outcome.free_bytes if outcome.free_bytes is not None else -1
    return Checked(text, memory.outcome_summary(outcome), free)


def _repair(settings: Checkpoint, monitor: memory.Monitor) -> str:
    """Climbs the ladder to the budget; without one, as far as it goes."""
    total = monitor.device.readings().driver_total or 0
    goal = int(settings.must_be_free_gib * GIB) or total
    done = repair(monitor.device, goal)
    monitor.record("repair", settings.phase, {"met": done.met, "text": str(done)})
    return str(done)


def _growing(phase: str, device: memory.MemoryDevice, outcome: memory.Outcome) -> str:
    """What to say when memory at this checkpoint grows from prompt to prompt; usually nothing."""
    held = memory.holdings(device, scan=False)
    growth = _growth.see(phase, device, outcome.account, held)
    return str(growth) if growth is not None else ""


def _account() -> Account:
    device = memory.monitor().device
    return memory.take_account(device, memory.holdings(device), where=True)


def _explain(explanation: Explanation) -> None:
    text = str(explanation)
    memory.monitor().record("explanation", explanation.load.model, {"text": text})
    log.warning(text)


def probe(largest_block: bool) -> tuple[memory.FreeMemory, str]:
    """What is free now, and the same as JSON."""
    found = memory.free_memory(memory.monitor().device, probe=largest_block)
    fields = ("driver", "torch", "largest_block", "how", "slack", "stranded", "releasable")
    data = {name: getattr(found, name) for name in fields} | {"unavailable": found.unavailable}
    return found, json.dumps(data, indent=1)


def _request(
    settings: Checkpoint, through: Any, models: list[Any]
) -> tuple[memory.Request, list[str]]:
    """What the core is asked for, and the names of private modules that no module has."""
    action, keys = "none", ()
    if settings.action == "offload":
        action = "all"
    elif settings.action == "offload all but connected models":
        action, keys = "all_but", memory_models.keys_of([*models, *_things(through)])
    modules, missing = _private(settings) if action != "none" else ([], [])
    request = memory.Request(
        action=action,
        models=keys,
        may_stay=int(settings.may_stay_gib * GIB) or None,
        must_be_free=int(settings.must_be_free_gib * GIB) or None,
        clear_cache=settings.clear_torch_cache and settings.action != "observe",
        own_tensors=tuple(_tensors([through, *models])),
        private=tuple(modules),
    )
    return request, missing


def _private(settings: Checkpoint) -> tuple[list[torch.nn.Module], list[str]]:
    names = private.names_in(settings.private_modules)
    held = memory.holdings(memory.monitor().device, scan=False)
    return private.find(names, [model.key for model in held.models])


def _violated(settings: Checkpoint, outcome: memory.Outcome) -> bool:
    """observe only tells; the others are violated by anything that is not a pass."""
    budgets = settings.may_stay_gib > 0 or settings.must_be_free_gib > 0
    if settings.action == "observe" and not budgets:
        return False
    return outcome.verdict.outcome == "fail"


def _things(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _tensors(value: Any, depth: int = 6) -> Iterable[torch.Tensor]:
    """Tensors inside what passes through a checkpoint: they are meant to stay."""
    if isinstance(value, torch.Tensor):
        yield value
    elif depth and isinstance(value, dict):
        for entry in value.values():
            yield from _tensors(entry, depth - 1)
    elif depth and isinstance(value, (list, tuple)):
        for entry in value:
            yield from _tensors(entry, depth - 1)


def _prompt_id() -> str | None:
    """The id of the prompt that runs now; None where this ComfyUI does not tell."""
    try:
        from comfy_execution.utils import get_executing_context

        context = get_executing_context()
        return context.prompt_id if context is not None else None
    except ImportError:
        return None
