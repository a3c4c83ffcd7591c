"""What a report says on a node, where there is room for three short lines."""

from __future__ import annotations

import dataclasses

from truetile.report import Report

EXACT = Report(
    operation="decode",
    plan="Wan 2.1 in whole frames",
    rungs=(),
    tiles=2,
    work_factor=1.0,
    peak_bytes=3 << 29,
    seconds=1.24,
    exact=True,
    why="the least memory",
    warnings=("native kernels were not used: no.so not found in a, b",),
)


def test_the_node_shows_a_warning_without_its_reason() -> None:
    lines = ["exact, 1.2 s, peak 1.50 GiB", "Wan 2.1 in whole frames"]
    assert EXACT.summary().splitlines() == [*lines, "native kernels were not used"]
    assert str(EXACT).endswith("\nwarning: native kernels were not used: no.so not found in a, b")


def test_the_node_says_why_it_is_not_exact() -> None:
    close = dataclasses.replace(EXACT, exact=False, why="asked for: blended", warnings=())
    assert close.summary().splitlines()[0].startswith("close to untiled, ")
    assert close.summary().splitlines()[2:] == ["asked for: blended"]
