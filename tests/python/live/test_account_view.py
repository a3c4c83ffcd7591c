"""An account in the groups of its picture: they add up, and what is not known is never 0."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from truetile.live.account_view import account_view, describe
from truetile.memory import RamDevice
from truetile.memory.core import Owner, ProcessUse, Readings, make_account

MIB = 2**20
OWNERS = [
    Owner("Flux", "model", 900 * MIB, True, "100% of it resident"),
    Owner("Wan (dynamic pages)", "model", 300 * MIB, False),
    Owner("cast buffers", "cast buffers", 20 * MIB),
    Owner("cuBLAS workspaces", "workspace", 32 * MIB),
]


def readings(**changes) -> Readings:
    usual = {
        "driver_total": 8000 * MIB,
        "driver_used": 3000 * MIB,
        "torch_allocated": 1000 * MIB,
        "torch_reserved": 1500 * MIB,
        "own_process": 2300 * MIB,
        "others": [ProcessUse(7, "browser", 100 * MIB)],
    }
    return Readings(**{**usual, **changes})


def view(now: Readings, unavailable: dict[str, str] | None = None, ram: bool = False) -> dict:
    account = make_account(now, OWNERS)
    return describe("a card", account, now, unavailable or {}, ram=ram)


def by_id(told: dict) -> dict:
    return {group["id"]: group for group in told["groups"]}


def test_groups_are_the_parts_of_the_account():
    told = view(readings())
    sizes = {name: group["bytes"] // MIB for name, group in by_id(told).items()}
    # tensors: what torch has allocated beside the model, named or not; own: 2300 - 1500 - 300.
    assert sizes == {
        "models": 1200,
        "tensors": 100,
        "slack": 500,
        "own": 500,
        "processes": 100,
        "unknown": 600,
    }
    assert told["free"] == 5000 * MIB
    models = by_id(told)["models"]["parts"]
    assert [part["name"] for part in models] == ["Flux", "Wan (dynamic pages)"]


@given(
    st.integers(0, 8000), st.integers(0, 4000), st.integers(0, 4000), st.booleans(), st.booleans()
)
def test_groups_add_up_to_what_the_driver_says(used, allocated, slack, knows_own, knows_others):
    now = readings(
        driver_used=used * MIB,
        torch_allocated=allocated * MIB,
        torch_reserved=(allocated + slack) * MIB,
        own_process=4000 * MIB if knows_own else None,
        others=[ProcessUse(7, "browser", 100 * MIB)] if knows_others else None,
    )
    groups = view(now)["groups"]
    assert sum(group["bytes"] or 0 for group in groups) == used * MIB


def test_what_is_not_known_is_none_with_its_reason():
    blind = readings(torch_allocated=None, torch_reserved=None, own_process=None, others=None)
    told = view(blind, {"others": "NVML is not there"})
    groups = by_id(told)
    for name in ("slack", "own", "processes"):
        assert groups[name]["bytes"] is None
        assert groups[name]["reason"]
    assert groups["processes"]["reason"] == "NVML is not there"
    # Buffers that a manager names are known all the same.
    assert groups["tensors"]["bytes"] == 52 * MIB


def test_without_a_driver_neither_free_nor_unknown_is_a_number():
    told = view(readings(driver_used=None))
    assert told["used"] is None
    assert told["free"] is None
    assert by_id(told)["unknown"]["bytes"] is None


def test_nothing_loaded_is_a_zero_that_is_known():
    now = readings()
    told = describe("a card", make_account(now, []), now, {}, ram=False)
    assert by_id(told)["models"]["bytes"] == 0
    assert by_id(told)["models"]["parts"] == []


def test_the_picture_of_a_machine_without_a_gpu():
    told = account_view(RamDevice())
    groups = by_id(told)
    assert told["device"] == "main memory"
    assert groups["own"]["title"] == "this process"
    assert groups["own"]["bytes"] > 0
    assert groups["processes"]["bytes"] is None
    assert groups["slack"]["reason"]
