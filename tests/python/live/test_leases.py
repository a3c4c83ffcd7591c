"""Who watches: leases that run out by themselves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from truetile.live import Leases


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_lease_runs_out_unless_it_is_renewed():
    clock = Clock()
    leases = Leases(15.0, clock)
    assert leases.renew("a")
    clock.now += 10
    assert leases.renew("b")
    assert not leases.renew("a")
    clock.now += 14.9
    assert leases.names() == ["a", "b"]
    clock.now += 0.1  # both are 15 seconds old now
    assert leases.names() == []
    assert leases.renew("a"), "one that ran out begins anew: its owner has missed something"


def test_a_lease_that_ended_is_gone_and_may_end_twice():
    leases = Leases(15.0, Clock())
    leases.renew("a")
    leases.end("a")
    leases.end("a")
    assert leases.names() == []


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["renew", "end", "wait"]), st.sampled_from("abc"), st.integers(0, 30)
        )
    )
)
def test_exactly_those_that_renewed_in_time_are_there(steps):
    clock, until = Clock(), {}
    leases = Leases(15.0, clock)
    for step, name, seconds in steps:
        if step == "renew":
            assert leases.renew(name) == (until.get(name, 0.0) <= clock.now)
            until[name] = clock.now + 15.0
        elif step == "end":
            leases.end(name)
            until.pop(name, None)
        else:
            clock.now += seconds
        assert set(leases.names()) == {n for n, end in until.items() if end > clock.now}
