"""Random loads, leaks, frees and offloads: the account and every verdict against plain books.

The books are three dictionaries that are written by hand at each step. They share no code with the
account, the holdings or the verdict.
"""

from __future__ import annotations

import gc
import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from simulated import GIB, MIB, SimulatedDevice, SimulatedManager, SimulatedModel

from truetile import memory

LEAKED: dict[int, object] = {}


class Books:
    """What is on the device, as an accountant would write it down."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        backend = self.random.choice(["native", "cudaMallocAsync"])
        self.device = SimulatedDevice(backend, total=256 * GIB)
        dynamic = backend != "native" and self.random.random() < 0.5
        self.models = [
            SimulatedModel(
                self.device, f"model {i}", 64 * MIB * self.random.randint(1, 40), dynamic
            )
            for i in range(3)
        ]
        self.manager = SimulatedManager(*self.models)
        self.loaded: dict[str, int] = {}
        self.leaks: dict[int, int] = {}
        self.others: dict[int, int] = {}

    def step(self) -> None:
        act = self.random.choice(["load", "load", "leak", "free", "other", "slack", "offload"])
        getattr(self, act)()
        self.check()

    def load(self) -> None:
        model = self.random.choice(self.models)
        if model.name not in self.loaded:
            model.load()
            pages = -(-model.size // (32 * MIB)) * 32 * MIB
            self.loaded[model.name] = pages if model.dynamic else model.size

    def leak(self) -> None:
        number, size = self.random.randrange(10**9), self.random.randint(33, 900) * MIB
        LEAKED[number] = self.device.allocate(size)
        self.leaks[number] = size

    def free(self) -> None:
        if self.leaks:
            number = self.random.choice(list(self.leaks))
            del LEAKED[number], self.leaks[number]

    def other(self) -> None:
        pid = self.random.randint(1, 3)
        self.others[pid] = self.device.others[pid] = self.random.randint(0, 4000) * MIB

    def slack(self) -> None:
        self.device.allocate(self.random.randint(1, 600) * MIB)

    def offload(self) -> None:
        action = self.random.choice(["all", "all_but", "models", "none"])
        chosen = self.random.choice(self.models)
        outcome = memory.offload(
            self.device, memory.Request(action, models=(id(chosen),)), [self.manager],
            sleep=lambda seconds: None,
        )  # fmt: skip
        go = {
            "all": set(self.loaded), "all_but": set(self.loaded) - {chosen.name},
            "models": {chosen.name}, "none": set(),
        }[action]  # fmt: skip
        self.loaded = {name: count for name, count in self.loaded.items() if name not in go}
        # What nobody manages is in the way of an offload of everything, and of nothing else.
        leaking = bool(self.leaks) and action in ("all", "all_but")
        text = memory.outcome_text(outcome)
        assert outcome.verdict.outcome == ("fail" if leaking else "pass"), f"{action}\n{text}"
        if leaking:
            held = sum(holder.bytes for holder in outcome.verdict.holders)
            named = {holder.name for holder in outcome.verdict.holders}
            assert held >= min(self.leaks.values()), text
            assert any("test_fuzz" in name for name in named), text
        assert outcome.after.driver_used == self.device.readings().driver_used

    def check(self) -> None:
        account = memory.take_account(self.device, memory.holdings(self.device, [self.manager]))
        kinds: dict[str, int] = {}
        for part in account.parts:
            kinds[part.kind] = kinds.get(part.kind, 0) + part.bytes
        assert sum(kinds.values()) == account.used
        assert kinds.get("model", 0) == sum(self.loaded.values())
        assert kinds.get("tensors", 0) == sum(self.leaks.values())
        assert kinds["torch"] == 0, "no tensor is without an owner"
        assert kinds.get("process", 0) == sum(self.others.values())
        assert kinds["own"] == self.device.context
        assert account.unknown == self.device.overhead


@pytest.mark.parametrize("seed", range(8))
def test_the_account_and_the_verdicts_never_disagree_with_the_books(seed):
    books = Books(seed)
    try:
        for _ in range(15):
            books.step()
    finally:
        for number in books.leaks:
            LEAKED.pop(number, None)
        gc.collect()
