"""The timeline as it is sent: rows that are never sent twice, phases, verdicts."""

from __future__ import annotations

import time

import pytest

from truetile import memory
from truetile.live import timeline
from truetile.live.timeline import ROW_SECONDS, TimelineView, merged
from truetile.memory import Monitor, RamDevice
from truetile.memory.core import CHANNELS
from truetile.memory.monitor import Entry
from truetile.native.memory import Sample


def sample(seconds: float, ram: int | None) -> Sample:
    return Sample(seconds, tuple(ram if name == "ram" else None for name in CHANNELS))


def ram_of(row: list) -> int | None:
    return row[1 + CHANNELS.index("ram")]


@pytest.fixture
def monitor():
    running = Monitor(RamDevice(), interval=0.02)
    running.start()
    yield running
    running.stop()


def test_a_row_keeps_the_highest_of_its_half_second():
    rows = merged([sample(0.1, 5), sample(0.2, 9), sample(0.4, None), sample(0.7, 3)])
    assert [(row[0], ram_of(row)) for row in rows] == [(0.0, 9), (0.5, 3)]


def test_a_channel_without_a_reading_stays_unknown():
    (row,) = merged([sample(0.1, None)])
    assert row == [0.0, *[None] * len(CHANNELS)]


def test_rows_come_once_and_without_a_hole(monitor):
    view = TimelineView(monitor)
    rows, until = [], time.monotonic() + 4 * ROW_SECONDS
    while time.monotonic() < until:
        rows += view.news()
        time.sleep(0.07)
    times = [row[0] for row in rows]
    assert len(times) >= 2
    assert times == [times[0] + ROW_SECONDS * i for i in range(len(times))]
    assert all(ram_of(row) > 0 for row in rows)


def test_a_late_viewer_gets_what_the_others_have_and_no_more(monitor):
    view = TimelineView(monitor)
    time.sleep(3 * ROW_SECONDS)
    seen = view.news()
    late = TimelineView(monitor).everything()
    assert late["channels"] == list(CHANNELS)
    assert {row[0] for row in seen} <= {row[0] for row in late["rows"]}
    times = {row[0] for row in late["rows"]}
    assert not times & {row[0] for row in TimelineView(monitor).news()}


def test_an_open_phase_has_no_end_yet(monitor):
    view = TimelineView(monitor)
    monitor.begin_phase("sample")
    monitor.begin_phase("decode")
    first, second = view.happened()["phases"]
    assert (first["name"], second["name"]) == ("sample", "decode")
    assert first["end"] is not None
    assert first["end"] <= second["begin"] + ROW_SECONDS
    assert second["end"] is None


def test_what_a_report_cleared_is_still_shown(monitor):
    monitor.begin_phase("decode")
    monitor.record("explanation", "Flux", {"text": "loaded in part"})
    monitor.end_phase()
    monitor.clear()
    assert not monitor.timeline()["entries"]
    happened = TimelineView(monitor).happened()
    assert [phase["name"] for phase in happened["phases"]] == ["decode"]
    assert [verdict["text"] for verdict in happened["verdicts"]] == ["loaded in part"]


def test_verdicts_are_the_newest_first_and_not_all(monitor):
    outcome = memory.offload(RamDevice(), memory.Request("all"), managing=[])
    for name in range(timeline.VERDICTS + 3):
        monitor.record("checkpoint", str(name), memory.outcome_data(outcome))
    verdicts = TimelineView(monitor).happened()["verdicts"]
    assert [verdict["name"] for verdict in verdicts][:2] == ["14", "13"]
    assert len(verdicts) == timeline.VERDICTS
    assert verdicts[0]["outcome"] == outcome.verdict.outcome
    assert "not available" in verdicts[0]["text"]


@pytest.mark.parametrize(("met", "outcome"), [(True, "pass"), (False, "fail"), (None, "")])
def test_a_repair_is_judged_by_its_goal(met, outcome):
    told = timeline.verdict_of(Entry(1.0, "repair", "", {"met": met, "text": "steps"}))
    assert told["outcome"] == outcome
    assert told["name"] == "repair"


def test_other_entries_are_no_verdict():
    assert timeline.verdict_of(Entry(1.0, "note", "x", {})) is None
