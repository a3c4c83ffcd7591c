"""Scenes, journal and baseline of `truetile run`, without a server."""

from __future__ import annotations

import json

import pytest

from truetile import cli
from truetile.errors import InvalidArgument
from truetile.scenes import baseline, history, markdown, scene
from truetile.scenes.journal import Journal
from truetile.scenes.recover import Recover
from truetile.watch.client import Refused

GIB = 2**30
PROMPT = {"1": {"class_type": "A", "inputs": {}}}
LIMITS = baseline.Criteria(60.0, 4 * GIB, 3)


def result(name: str, seconds: float | None = 10.0, free: int | None = 5 * GIB, **changes) -> dict:
    memory = {
        "device": "card", "total": 24 * GIB, "free_min": free, "free_mean": free,
        "free_peak": free, "source": "driver, sample", "widest_gap": 0.02,
    }  # fmt: skip
    return {
        "name": name, "status": "success", "message": "", "seconds": seconds, "kind": "real",
        "nodes": 3, "cached_nodes": 0, "outputs": [], "memory": memory, "found_again": False,
        **changes,
    }  # fmt: skip


def made(results, folder, run: str = "r1") -> dict:
    journal = {"run": run, "started_at": 0.0, "notes": []}
    return baseline.make(journal, results, LIMITS, folder)


def test_criteria(tmp_path) -> None:
    good = made([result(str(i)) for i in range(3)], tmp_path)["criteria"]
    assert [entry["met"] for entry in good.values()] == [True, True, True]
    bad = [result("a", 61.0), result("b", free=3 * GIB), result("c", status="error")]
    judged = made(bad, tmp_path)["criteria"]
    assert [entry["met"] for entry in judged.values()] == [False, False, False]


def test_what_was_not_measured_is_not_met_and_not_failed(tmp_path) -> None:
    lost = result("b", memory=None, found_again=True)
    judged = made([result("a"), lost], tmp_path)["criteria"]
    assert judged["free"] == {"met": None, "value": 5 * GIB}
    assert made([result("a", free=GIB), lost], tmp_path)["criteria"]["free"]["met"] is False
    none = made([result("a", seconds=None, free=None)], tmp_path)
    assert none["criteria"]["free"]["met"] is None and none["totals"]["free_min"] is None
    page = markdown.page(none)
    assert "cannot be told" in page and "0.0 MiB" not in page and "0.00 s" not in page


def test_a_scene_from_the_cache_proves_nothing(tmp_path) -> None:
    cached = result("b", 0.0, kind="cached")
    data = made([result("a"), cached, result("c"), cached, result("d")], tmp_path)
    assert data["totals"]["seconds_mean"] == 10.0 and data["totals"]["cached"] == 2
    assert data["criteria"]["in_a_row"] == {"met": True, "value": 3}


def test_comparison_with_the_newest_other_run(tmp_path) -> None:
    for run, seconds in (("r1", 5.0), ("r2", 10.0)):
        data = made([result("a", seconds), result("b|", 1.0, kind="cached")], tmp_path, run)
        baseline.write(data, tmp_path)
    again = made([result("a", 12.0), result("b|", 2.0), result("new", 3.0)], tmp_path, "r3")
    compared = again["comparison"]
    assert (compared["run"], compared["seconds_before"], compared["seconds"]) == ("r2", 10.0, 12.0)
    assert [s["name"] for s in compared["scenes"]] == ["a", "b|"]
    page = markdown.page(again)
    assert "| a | 10.00 s | 12.00 s | +20 % |" in page and "| b\\| | unknown | unknown |" in page
    # A crash between the baseline and the journal's end: not compared with itself.
    baseline.write(again, tmp_path)
    assert made([result("a")], tmp_path, "r3")["comparison"]["run"] == "r2"


def test_history_tells_cached_outputs_apart() -> None:
    def entry(*cached: str) -> dict:
        messages = [
            ["execution_start", {"timestamp": 1000}],
            ["execution_cached", {"nodes": list(cached), "timestamp": 1001}],
            ["execution_success", {"timestamp": 3500}],
        ]
        image = {"images": [{"filename": "x.png", "subfolder": "s", "type": "output"}]}
        return {"status": {"status_str": "success", "messages": messages},
                "outputs": {"3": image, "4": {}}}  # fmt: skip

    assert history.result(entry(), 4)["kind"] == "real"
    assert history.result(entry("1", "3"), 4)["kind"] == "mixed"
    found = history.result(entry("1", "2", "3", "4"), 4)
    assert (found["kind"], found["seconds"], found["cached_nodes"]) == ("cached", 2.5, 4)
    assert found["outputs"][0] == {"node": "3", "cached": True, "files": ["s/x.png"]}


def test_scenes_of_files_and_globs(tmp_path) -> None:
    for name in ("b", "a"):
        (tmp_path / f"{name}.json").write_text(json.dumps({"prompt": PROMPT}))
    names = [s.name for s in scene.load([f"{tmp_path}/*.json", str(tmp_path / "a.json")], 2)]
    assert names == ["a", "a#2", "b", "b#2", "a#3", "a#4"]
    bracketed = tmp_path / "c[1].json"
    bracketed.write_text(json.dumps(PROMPT))
    assert scene.load([str(bracketed)])[0].prompt == PROMPT


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"nodes": [], "links": []}', "a workflow of the editor"),
        ("{}", "API format"),
        ("[1]", "API format"),
        ('{"1": {}}', "API format"),
        ("not json", "cannot be read as JSON"),
    ],
)
def test_files_that_are_no_scenes(tmp_path, text, message) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(InvalidArgument, match=message):
        scene.load([str(tmp_path / "x.json")])


def test_the_journal_keeps_what_is_done_and_forgets_what_changed(tmp_path) -> None:
    one, two = scene.Scene("a", PROMPT, "1" * 64), scene.Scene("a", PROMPT, "2" * 64)
    journal = Journal(tmp_path)
    assert not journal.resumed and journal.result(one) is None
    journal.begin(one)
    again = Journal(tmp_path)
    assert again.resumed and again.began(one) and again.result(one) is None
    again.finish(one, result("a"))
    third = Journal(tmp_path)
    assert third.result(one)["seconds"] == 10.0 and third.result(two) is None
    assert not third.began(two) and third.tag(one) == journal.tag(one) != third.tag(two)
    third.finish(one, result("a", status="error"))
    assert Journal(tmp_path).result(one) is None, "a failed scene is tried again"
    third.close()
    assert not Journal(tmp_path).resumed
    (tmp_path / "journal.json").write_text("{")
    with pytest.raises(InvalidArgument, match="is not a journal"):
        Journal(tmp_path)


class Server:
    """Says that memory grows; after a repair `left` bytes are held."""

    def __init__(self, left: int, growing: str = "memory grows") -> None:
        self.left, self.growing, self.asked = left, growing, []

    def post(self, path: str, body: dict, timeout: float) -> dict:
        self.asked.append(path.rpartition("/")[2])
        seen = {"own_bytes": 3 * GIB, "began_at": GIB, "growing": self.growing}
        return {"kept_bytes": self.left} if path.endswith("repair") else seen


@pytest.mark.parametrize(
    ("left", "growing", "ours", "said", "restarted"),
    [
        (3 * GIB, "", True, "", 0),
        (GIB, "memory grows", True, "repaired, 1.00 GiB are held now", 0),
        (3 * GIB, "memory grows", True, "ComfyUI is restarted", 1),
        (3 * GIB, "memory grows", False, "it was not started here, so it is left running", 0),
    ],
)
def test_a_restart_only_where_memory_does_not_come_back(left, growing, ours, said, restarted):
    told, restarts = [], []
    server = Server(left, growing)
    recover = Recover((lambda: restarts.append(1)) if ours else None, told.append)
    assert recover.after(server, "a") == 3 * GIB
    assert len(restarts) == restarted and said in " ".join(told) and bool(told) == bool(growing)
    assert server.asked == (["growth", "repair"] if growing else ["growth"])


def test_a_server_without_truetile_is_said_once() -> None:
    class Bare:
        def post(self, *_):
            raise Refused(405, None)

    told: list[str] = []
    recover = Recover(None, told.append)
    assert recover.after(Bare(), "a") is None and recover.after(Bare(), "b") is None
    assert told == ["whether memory comes back cannot be told: the server has no TrueTile nodes"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("x.json",), "the following arguments are required: --out"),
        (("no-*.json", "--out", "o"), "SCENES=no-*.json: no such file"),
        (("x.json", "--out", "o", "--server", "nowhere"), "server=nowhere: must be a URL such as"),
        (("x.json", "--out", "o", "--comfyui", "."), "comfyui=.: holds no main.py"),
        (("x.json", "--out", "o", "--flags=--cpu"), "flags=--cpu: needs --comfyui"),
        (("x.json", "--out", "o", "--min-free", "4"), ""),
        (("x.json", "--out", "o", "--repeat", "0"), "repeat=0: must be a whole number"),
        (("x.json", "--out", "/dev/null/o"), "out=/dev/null/o: must be a folder"),
    ],
)
def test_mistakes_take_one_line(capsys, monkeypatch, tmp_path, argv, message) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.json").write_text(json.dumps(PROMPT))
    silent = not message
    if silent:  # a good line, but nobody answers
        argv = (*argv, "--server", "http://127.0.0.1:9")
    try:
        code = cli.main(["run", *argv])
    except SystemExit as end:
        code = end.code
    said = capsys.readouterr().err
    assert code == (1 if silent else 2) and message in said and said.count("\n") == 1
    if silent:
        assert "the same command resumes" in said
