"""The panel's glue without ComfyUI: its routes' answers, and what a preview may cost."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import json
import sys
import time
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

REPOSITORY = Path(__file__).resolve().parents[2]
NAME = "truetile_pack_with_panel"


@pytest.fixture(scope="module")
def pack():
    """The checkout as ComfyUI imports it, and the modules of it by name."""
    spec = importlib.util.spec_from_file_location(NAME, REPOSITORY / "__init__.py")
    sys.modules[NAME] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[NAME])
    yield lambda name: importlib.import_module(f"{NAME}.{name}")
    for name in [name for name in sys.modules if name.split(".")[0] == NAME]:
        del sys.modules[name]


class Server:
    """PromptServer as far as the panel knows it; `a` has a websocket."""

    def __init__(self) -> None:
        self.sockets = {"a": object()}
        self.sent: list[tuple[str, dict, str]] = []

    def send_sync(self, event: str, data: dict, client: str) -> None:
        json.dumps(data)
        self.sent.append((event, data, client))


@pytest.fixture
def panel(pack):
    made = pack("comfy_nodes.panel_routes").Panel(Server())
    yield made
    for client in made.feed.leases.names():
        made.feed.close(client)
    while made.feed.running:
        time.sleep(0.01)


def ask(answer, **body) -> dict:
    told = asyncio.run(answer(body))
    assert json.loads(json.dumps(told)) == told
    return told


def test_a_panel_is_told_everything_once_and_then_what_changes(panel):
    told = ask(panel.open, client="a")
    assert told["lease_seconds"] > 0
    assert {"account", "activity", "channels", "rows", "phases", "verdicts", "now"} <= told.keys()
    server = panel._server
    while len(server.sent) < 3:
        time.sleep(0.01)
    event, message, client = server.sent[-1]
    assert (event, client) == ("truetile.panel", "a")
    assert "channels" not in message
    assert ask(panel.renew, client="a") == {"missed": False}
    assert ask(panel.close, client="a") == {}
    while panel.feed.running:
        time.sleep(0.01)
    assert ask(panel.renew, client="a") == {"missed": True}


def test_a_client_without_a_websocket_is_forgotten(panel):
    ask(panel.open, client="gone")
    while panel.feed.running:
        time.sleep(0.01)
    assert panel._server.sent == []


@pytest.mark.parametrize("client", [None, "", 7])
def test_a_client_must_be_named(panel, client):
    with pytest.raises(ValueError, match=r"client=.*: must be the id of an editor's websocket"):
        ask(panel.open, client=client)


def test_the_report_to_copy_names_who_holds_the_memory(panel, pack):
    activity = pack("comfy_nodes.watching").activity
    activity.end(activity.begin("decode"), None, "out of memory")
    text = ask(panel.report)["text"]
    assert "failed: out of memory" in text
    assert "main memory: this process" in text or "used " in text


class Clock:
    """Seconds that pass only when somebody says so."""

    now = 50.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def node(pack, monkeypatch):
    """A node that decodes, on a clock of ours; `look_seconds` is what a picture costs."""
    watching = pack("comfy_nodes.watching")
    clock, shown = Clock(), []
    made = SimpleNamespace(clock=clock, shown=shown, look_seconds=0.005, size=512)

    def look() -> torch.Tensor:
        clock.now += made.look_seconds
        return torch.zeros(2, 2, 3, dtype=torch.uint8)

    def move_bar(bar, done, total, preview=None) -> None:
        if preview is not None:
            shown.append(clock.now)

    monkeypatch.setattr(watching, "time", clock)
    monkeypatch.setattr(watching.host, "progress_bar", lambda: None)
    monkeypatch.setattr(watching.host, "move_bar", move_bar)
    monkeypatch.setattr(watching.host, "preview_size", lambda: made.size)
    monkeypatch.setattr(watching.host, "preview_of", lambda picture: picture)
    picture = SimpleNamespace(look=look, last=look)
    monkeypatch.setattr(watching, "PartialPicture", lambda result, size: picture)
    made.observer = watching.NodeObserver(watching.activity.begin("decode"))
    return made


def decode(node, seconds: float, step: float = 0.01) -> None:
    node.observer.begun(lambda: "in strips", "", object())
    end = node.clock.now + seconds
    while node.clock.now < end:
        node.clock.now += step
        node.observer.progress(1, 100)


@pytest.mark.parametrize("cost", [0.001, 0.005, 0.05, 0.5])
def test_pictures_are_few_and_take_a_small_share_of_the_time(node, cost):
    node.look_seconds = cost
    decode(node, 60.0)
    gaps = [after - before for before, after in pairwise(node.shown)]
    assert len(node.shown) >= 3
    assert min(gaps) >= 0.4
    # The first picture is not paid for yet when it is shown.
    assert (len(node.shown) - 1) * cost <= 0.03 * 60.0


def test_without_previews_nothing_is_looked_at(node):
    node.size = None
    decode(node, 5.0)
    node.observer.finished(None)
    assert node.shown == []


def test_the_whole_picture_is_shown_at_the_end(node):
    decode(node, 0.2)
    before = len(node.shown)
    node.observer.finished(None)
    assert len(node.shown) == before + 1
