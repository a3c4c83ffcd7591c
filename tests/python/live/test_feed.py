"""What changes goes to those who watch; when nobody does, nothing runs."""

from __future__ import annotations

import importlib
import json
import threading
import time

import pytest

from truetile.live import Activity, Feed, Leases
from truetile.report import Report

# Its name in the package is that of a function.
monitors = importlib.import_module("truetile.memory.monitor")
REPORT = Report("decode", "in strips", (), 3, 1.0, None, 2.0, True, "it fits")


@pytest.fixture(autouse=True)
def own_monitor(monkeypatch):
    """A process's monitor that no other test has started."""
    monkeypatch.setattr(monitors, "_monitor", None)
    monkeypatch.setattr(monitors, "_needed", False)
    yield
    if monitors._monitor is not None:
        monitors._monitor.stop()


class Clients:
    """Takes messages; those in `gone` have left."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, dict]] = []
        self.gone: set[str] = set()
        self.read = 0
        self.came = threading.Condition()

    def __call__(self, client: str, message: dict) -> bool:
        if client in self.gone:
            return False
        with self.came:
            self.messages.append((client, json.loads(json.dumps(message))))
            self.came.notify_all()
        return True

    def wait_for(self, key: str, client: str = "a") -> dict:
        """The next message of a client with this key in it, after what was given before."""
        with self.came:
            while True:
                while self.read < len(self.messages):
                    name, message = self.messages[self.read]
                    self.read += 1
                    if name == client and key in message:
                        return message
                self.came.wait()


def wait_until_still(feed: Feed) -> None:
    while feed.running or monitors._monitor.sampler.running:
        time.sleep(0.01)


def test_only_what_changed_is_sent():
    clients, activity = Clients(), Activity()
    feed = Feed(clients, activity, interval=0.05)
    whole = feed.open("a")
    assert {"account", "activity", "rows", "phases", "verdicts", "channels"} <= whole.keys()
    assert json.dumps(whole)
    clients.wait_for("rows")
    work = activity.begin("decode")
    running = clients.wait_for("activity")["activity"]["running"]
    while running is None:  # that of before
        running = clients.wait_for("activity")["activity"]["running"]
    assert running["operation"] == "decode"
    assert running["share"] is None
    assert running["plan"] == ""
    work.planned(lambda: "in strips", "it fits")
    work.progress(1, 4)
    while clients.wait_for("activity")["activity"]["running"]["share"] != 0.25:
        pass
    activity.end(work, REPORT)
    told = clients.wait_for("activity")["activity"]
    while told["running"] is not None:
        told = clients.wait_for("activity")["activity"]
    assert told["reports"][0]["plan"] == "in strips"
    assert "TrueTile decode" in told["reports"][0]["text"]
    # From then on it does not change, so it is not sent again.
    rows = clients.wait_for("rows")
    assert not rows.keys() & {"activity", "verdicts", "phases"}
    feed.close("a")
    wait_until_still(feed)


def test_nothing_runs_when_nobody_watches():
    clients = Clients()
    feed = Feed(clients, Activity(), interval=0.05)
    assert not feed.running
    assert monitors._monitor is None
    feed.open("a")
    clients.wait_for("account")
    assert feed.running
    assert monitors._monitor.sampler.running
    feed.close("a")
    wait_until_still(feed)
    sent, taken = len(clients.messages), monitors._monitor.sampler.taken
    time.sleep(0.3)
    assert len(clients.messages) == sent
    assert monitors._monitor.sampler.taken == taken


def test_a_lease_that_runs_out_ends_it_too():
    clients = Clients()
    feed = Feed(clients, Activity(), Leases(0.3), interval=0.05)
    feed.open("a")
    clients.wait_for("account")
    wait_until_still(feed)
    assert feed.renew("a"), "who comes back late has missed something"
    feed.close("a")
    wait_until_still(feed)


def test_a_client_that_left_is_forgotten_and_the_other_still_hears():
    clients = Clients()
    feed = Feed(clients, Activity(), interval=0.05)
    feed.open("a")
    feed.open("b")
    clients.wait_for("account")
    clients.gone.add("a")
    while "a" in feed.leases.names():
        time.sleep(0.01)
    assert clients.wait_for("account", "b")
    feed.close("b")
    wait_until_still(feed)


def test_a_monitor_that_others_need_goes_on():
    monitors.monitor()
    feed = Feed(Clients(), Activity(), interval=0.05)
    feed.open("a")
    feed.close("a")
    while feed.running:
        time.sleep(0.01)
    assert monitors._monitor.sampler.running


def test_a_failed_work_says_why():
    activity = Activity()
    work = activity.begin("encode")
    work.planned(lambda: "in tiles", "")
    activity.end(work, None, "out of memory")
    (report,) = activity.data()["reports"]
    assert report["failure"] == "out of memory"
    assert "in tiles" in report["text"]
    assert activity.data()["running"] is None
