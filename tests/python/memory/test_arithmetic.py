"""Account, verdict, fragmentation: promises for any numbers; the C++ core equals its twin."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from truetile.memory import core
from truetile.memory.describe import to_data
from truetile.native import memory as twin

BACKENDS = [twin] + ([core] if core.BACKEND == "native" else [])
NAMES = ["python", "native"][: len(BACKENDS)]

size = st.integers(0, 2**40)
maybe = st.none() | size
words = st.sampled_from(["unet", "vae", "clip", "a tensor"])
owners = st.lists(st.tuples(words, words, size, st.booleans(), words), max_size=5)
others = st.none() | st.lists(st.tuples(st.integers(1, 9), words, maybe), max_size=3)
levels = st.tuples(maybe, maybe, maybe, maybe, maybe)


def account_of(backend, readings, holders, processes):
    found = None if processes is None else [backend.ProcessUse(*entry) for entry in processes]
    return backend.make_account(
        backend.Readings(*readings, found), [backend.Owner(*entry) for entry in holders]
    )


@settings(max_examples=200, deadline=None)
@given(st.tuples(maybe, maybe, maybe, maybe, maybe), owners, others)
def test_the_parts_sum_to_what_the_driver_says(readings, holders, processes):
    accounts = [account_of(backend, readings, holders, processes) for backend in BACKENDS]
    account = accounts[0]
    used = readings[1]
    if used is None:
        assert account.unknown is None
    else:
        assert sum(part.bytes for part in account.parts) == used
        assert account.parts[-1].bytes == account.unknown
    # Nothing that was not told appears with a number.
    names = {part.name for part in account.parts}
    assert ("own memory outside torch" in names) == (readings[4] is not None)
    assert ("torch slack" in names) == (None not in readings[2:4])
    for holder in holders:
        assert holder[0] in names
    assert all(to_data(other) == to_data(account) for other in accounts)


expectation = st.tuples(words, size, size, size, st.booleans()).map(
    lambda e: (e[0], max(e[1:3]), min(e[1:3]), e[3], e[4])
)
parts = st.lists(st.tuples(words, st.sampled_from(["model", "process", "own"]), size), max_size=4)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(expectation, max_size=4), levels, levels, st.sampled_from([2**21, 2**25]),
    st.tuples(maybe, maybe, maybe, maybe, maybe, maybe), owners, parts, st.booleans(),
)  # fmt: skip
def test_a_pass_is_never_given_away(lines, before, after, tolerance, numbers, suspects, here, skip):
    verdicts = []
    for backend in BACKENDS:
        requested, allowed, stays, may_stay, free, must = numbers
        offload = backend.OffloadCase(
            [backend.Expectation(*line) for line in lines],
            backend.Levels(*before),
            backend.Levels(*after),
            tolerance=tolerance,
            requested=requested,
            allowed_allocated=allowed,
            suspects=[backend.Owner(*entry) for entry in suspects],
            stays=stays,
            may_stay=may_stay,
            free=free,
            must_be_free=must,
            present=[backend.Part(*entry) for entry in here],
            nothing_to_prove=skip,
        )
        verdicts.append(backend.judge(offload))
    verdict = verdicts[0]
    assert all(to_data(other) == to_data(verdict) for other in verdicts)
    if verdict.outcome == "pass":
        assert all(line[3] - line[2] <= tolerance for line in lines)
        assert may_stay is None or stays <= may_stay
        assert must is None or free >= must
        assert all(level.outcome != "short" for level in verdict.levels)
        expected = sum(line[1] - line[2] for line in lines)
        if expected and not skip:
            proofs = [level.outcome for level in verdict.levels[2:]]
            assert "ok" in proofs, "neither parameters nor allocated bytes prove anything"


block = st.tuples(st.integers(0, 2**30), st.sampled_from(["live", "awaiting", "free"]))
segment = st.tuples(
    st.integers(0, 3), st.sampled_from(["small", "large"]), st.booleans(),
    st.lists(block, max_size=6),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(segment, max_size=6))
def test_fragmentation_adds_up(segments):
    results = []
    for backend in BACKENDS:
        found = [
            backend.Segment(i, stream, pool, grows, [
                backend.Block(count, count // 2 if state == "live" else 0, state)
                for count, state in blocks
            ])
            for i, (stream, pool, grows, blocks) in enumerate(segments)
        ]  # fmt: skip
        results.append(backend.analyze(found))
    result = results[0]
    assert result.reserved == sum(count for *_, blocks in segments for count, _ in blocks)
    assert result.slack == result.limbo + result.stranded + result.releasable
    assert sum(pool.free for pool in result.pools) == result.stranded + result.releasable
    for other in results:
        left, right = to_data(other), to_data(result)
        # Equal ratios may come in either order.
        for data in (left, right):
            data["comb"] = sorted(data["comb"], key=lambda tooth: tooth["address"])
        assert left == right


@pytest.mark.parametrize("backend", BACKENDS, ids=NAMES)
@pytest.mark.parametrize(
    ("call", "words_"),
    [(lambda m: m.make_account(m.Readings(), [m.Owner("vae", "model", -1)]), "bytes of vae=-1"),
     (lambda m: m.make_account(m.Readings(driver_used=-3), []), "driver_used=-3: must be in"),
     (lambda m: m.judge(m.OffloadCase([m.Expectation("x", 1, 2, 0)], m.Levels(), m.Levels())),
      r"target of x=2: must be in \[0, 1\] \(before=1\)"),
     (lambda m: m.Sampler(interval=0.0), "interval=0: must be in"),
     (lambda m: m.Sampler(capacity=0), r"capacity=0: must be in \[1, 16777216\]"),
     (lambda m: m.Sampler().end_phase(7), "id=7: must be the id of a phase that is open"),
     (lambda m: m.Sampler().event("vram", 7), "channel=vram: must be one of driver_used")],
)  # fmt: skip
def test_errors_name_argument_value_and_what_is_allowed(backend, call, words_):
    with pytest.raises(ValueError, match=words_):
        call(backend)


def test_both_backends_have_the_same_names():
    for name in twin.__all__:
        assert hasattr(core, name)
    if core.BACKEND == "native":
        fields = asdict(twin.Readings()).keys()
        assert all(hasattr(core.Readings(), field) for field in fields)


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, "unknown"), (0, "0.0 MiB"), (3 * 2**29, "1.50 GiB"), (-(2**30), "-1.00 GiB")],
)
def test_bytes_for_people(count, text):
    for backend in BACKENDS:
        assert backend.say_bytes(count) == text
