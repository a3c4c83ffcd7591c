"""`truetile memory record`: what the files hold, exit codes, and nothing half-written."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser

import pytest

from truetile import cli
from truetile.native.memory import CHANNELS, Sample
from truetile.watch import files, page, process_tree

# A child's child that holds 200 MiB for a while: record has to follow the whole tree.
HOLD = "import time; held = bytearray(b'x') * (200 << 20); time.sleep(0.6)"
GRANDCHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLD!r}])"
MIB = 2**20
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def record(out, *command: str, options: tuple[str, ...] = ()) -> int:
    return cli.main(["memory", "record", "--out", str(out), *options, "--", *command])


@linux
def test_three_files_with_the_whole_trees_memory(tmp_path, capfd) -> None:
    assert record(tmp_path, sys.executable, "-c", GRANDCHILD) == 0
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["timeline.csv", "timeline.html", "timeline.json"]
    data = json.loads((tmp_path / "timeline.json").read_text())
    assert 200 * MIB < data["summary"]["ram"]["peak"] < 300 * MIB
    assert data["summary"]["ram"]["minimum"] > 0
    assert data["exit_code"] == 0 and data["seconds"] > 0.6
    rows = list(csv.DictReader((tmp_path / "timeline.csv").open()))
    assert list(rows[0]) == ["seconds", *CHANNELS]
    assert max(int(row["ram"] or 0) for row in rows) == data["summary"]["ram"]["peak"]
    assert all(row["torch_allocated"] == "" for row in rows), "unknown is not 0"
    said = capfd.readouterr()
    assert said.out == "" and "main memory, this command: peak 2" in said.err


@linux
def test_the_page_is_self_contained(tmp_path) -> None:
    assert record(tmp_path, sys.executable, "-c", "print('<&>')") == 0
    text = (tmp_path / "timeline.html").read_text()
    assert not re.search(r"(src|href)=|@import|url\(|<script", text)
    assert "prefers-color-scheme: dark" in text and 'class="graph"' in text
    assert "print('<&>')" not in text and "&lt;&amp;&gt;" in text
    HTMLParser().feed(text)


@pytest.mark.parametrize(
    ("code", "expected"),
    [("import sys; sys.exit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 137)],
)
def test_the_exit_code_is_the_commands(tmp_path, code, expected) -> None:
    assert record(tmp_path, sys.executable, "-c", code) == expected
    assert json.loads((tmp_path / "timeline.json").read_text())["exit_code"] == expected


def test_its_options_are_the_commands_own(tmp_path, capfd) -> None:
    code = "import sys; print(sys.argv[1:])"
    assert record(tmp_path, sys.executable, "-c", code, "--out", "x", "--", "-h") == 0
    assert capfd.readouterr().out == "['--out', 'x', '--', '-h']\n"


@linux
def test_what_ends_the_recorder_ends_the_command_and_keeps_the_record(tmp_path) -> None:
    argv = [sys.executable, "-m", "truetile.cli", "memory", "record", "--out", str(tmp_path), "--"]
    marker = tmp_path / "pid"
    code = f"import os, time; open({str(marker)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    recorder = subprocess.Popen([*argv, sys.executable, "-c", code], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 30
    while not (marker.exists() and marker.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.2)
    recorder.send_signal(signal.SIGTERM)
    recorder.communicate(timeout=20)
    assert recorder.returncode == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(int(marker.read_text()), 0)
    assert json.loads((tmp_path / "timeline.json").read_text())["summary"]["ram"]["peak"] > 0


def test_all_files_or_none(tmp_path, monkeypatch) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text("old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write_all({tmp_path / "a": "new", tmp_path / "b": "new"})
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "old", "b": "old"}


def test_a_peak_of_one_sample_is_not_thinned_away() -> None:
    empty = [None] * len(CHANNELS)
    samples = [Sample(i / 50, (*empty[:-1], 1)) for i in range(100_000)]
    samples[54_321] = Sample(54_321 / 50, (*empty[:-1], 1000))
    drawn = page.chart(samples, ["ram"])
    assert len(drawn) < 20_000
    heights = [float(y) for y in re.findall(r"[ML][\d.]+,([\d.]+)", drawn)]
    assert min(heights) < 40 and max(heights) > 280


@linux
def test_the_tree_of_this_process() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])
    try:
        assert {os.getpid(), child.pid} <= set(process_tree.members(os.getpid()))
    finally:
        child.kill()
        child.wait()
    assert process_tree.resident([child.pid]) is None


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--",), "CMD: is missing"),
        ((), "CMD: is missing"),
        (("--interval", "0", "--", "true"), "interval=0: must be a number of seconds in"),
        (("--", "no-such-program"), "CMD=no-such-program: cannot be run (No such file"),
        (("--out", "/dev/null/x", "--", "true"), "out=/dev/null/x: must be a folder"),
    ],
)
def test_mistakes_take_one_line_and_exit_code_2(capsys, monkeypatch, tmp_path, argv, message):
    monkeypatch.chdir(tmp_path)
    try:
        code = cli.main(["memory", "record", *argv])
    except SystemExit as end:
        code = end.code
    said = capsys.readouterr().err
    assert code == 2 and message in said and said.count("\n") == 1
    assert not list(tmp_path.glob("memory/*"))
