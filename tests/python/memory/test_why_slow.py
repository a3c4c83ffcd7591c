"""`loaded partially` is explained by who holds the difference."""

from __future__ import annotations

import logging

import pytest

from truetile.memory.core import Owner, ProcessUse, Readings, make_account
from truetile.memory.why_slow import LoadWatcher, parse

MIB, GIB = 2**20, 2**30
BEFORE = "loaded completely; 14971.79 MB usable, 13629.08 MB loaded, full load: True"
AFTER = "loaded partially; 11332.26 MB usable, 11332.26 MB loaded, 2296.82 MB offloaded, lowvram"


def account(*owners, others=()):
    used = sum(owner.bytes for owner in owners) + sum(other.bytes for other in others) + 600 * MIB
    torch_bytes = sum(owner.bytes for owner in owners)
    return make_account(
        Readings(32 * GIB, used, torch_bytes, torch_bytes, torch_bytes + 600 * MIB, list(others)),
        list(owners),
    )


def watch(lines, held):
    told = []
    watcher = LoadWatcher(lambda: held, told.append)
    logger = logging.getLogger("test-comfyui")
    logger.setLevel(logging.INFO)
    logger.addHandler(watcher)
    for line in lines:
        logger.info(line)
    logger.removeHandler(watcher)
    return told


def test_the_case_of_the_first_report():
    """3639.53 MB less than before; another model holds them."""
    held = account(Owner("WAN21", "model", 11332 * MIB), Owner("WanTEModel", "model", 3640 * MIB))
    (found,) = watch(["Requested to load WAN21", BEFORE, "Requested to load WAN21", AFTER], held)
    assert found.missing == round(14971.79 * MIB) - round(11332.26 * MIB)
    assert f"{found.missing / MIB:.2f}" == "3639.53"
    # What is loaded and what was sent away are the whole model, to the log's two digits.
    whole = found.before.loaded
    assert abs(found.load.usable + found.load.offloaded - whole) < MIB
    assert [part.name for part in found.holders] == ["WanTEModel"]
    text = str(found)
    assert "not fragmentation" in text
    assert "held by WanTEModel: 3.55 GiB" in text
    assert "'offload'" in text


@pytest.mark.parametrize(
    ("holder", "others", "name", "advice"),
    [(None, [ProcessUse(77, "lm-server", 4 * GIB)], "lm-server (pid 77)", "other program"),
     (Owner("custom node X [..]", "tensors", 4 * GIB), [], "custom node X [..]", "custom node")],
)  # fmt: skip
def test_names_other_programs_and_leaked_tensors(holder, others, name, advice):
    owners = [Owner("WAN21", "model", 11 * GIB)] + ([holder] if holder else [])
    (found,) = watch(
        ["Requested to load WAN21", BEFORE, "Requested to load WAN21", AFTER],
        account(*owners, others=others),
    )
    assert found.holders[0].name == name
    assert any(advice in line for line in found.advice)


def test_without_an_earlier_load_nothing_is_invented():
    (found,) = watch([AFTER], account(Owner("T5", "model", 9 * GIB)))
    assert found.missing is None
    assert found.before is None
    assert "less now" not in str(found)


@pytest.mark.parametrize(
    ("line", "usable", "complete"),
    [(AFTER, 11332.26, False), ("loaded partially 11332.26 11332.0 0", 11332.26, False),
     ("loaded completely 14971.79 13629.08 True", 14971.79, True),
     ("loaded completely; 95367431640625005117571072.00 MB usable, 319.11 MB loaded", None, True)],
)  # fmt: skip
def test_lines_of_several_versions(line, usable, complete):
    load = parse(line)
    assert load.complete is complete
    assert load.usable == (None if usable is None else round(usable * MIB))


def test_other_lines_are_left_alone():
    assert parse("got prompt") is None
    assert watch(["got prompt", BEFORE], account()) == []


def test_a_failing_account_does_not_stop_a_load(monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", False)

    def fail():
        raise RuntimeError("driver gone")

    watcher = LoadWatcher(fail, lambda explanation: None)
    watcher.handle(logging.LogRecord("x", logging.INFO, "f", 1, AFTER, None, None))
