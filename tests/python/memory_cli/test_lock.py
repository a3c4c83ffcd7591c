"""Two writers on one folder: the second is refused, a crashed one is not waited for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from truetile import cli
from truetile.errors import InvalidArgument
from truetile.watch.lock import NAME, locked

ROOT = Path(__file__).parents[3]


def holder(folder: Path) -> subprocess.Popen:
    """Another process that records until it is ended."""
    command = [sys.executable, "-m", "truetile.cli", "memory", "record", "--out", str(folder)]
    command += ["--", sys.executable, "-c", "print('ready', flush=True); input()"]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    return process


def refused(capsys, *argv: str) -> str:
    assert cli.main(list(argv)) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_a_second_writer_is_told_who_is_there(capsys, tmp_path) -> None:
    (tmp_path / "x.json").write_text(json.dumps({"1": {"class_type": "X", "inputs": {}}}))
    out = tmp_path / "out"
    first = holder(out)
    try:
        known = {path.name for path in out.iterdir()}
        said = refused(capsys, "memory", "record", "--out", str(out), "--", "true")
        assert f"out={out}: must not be in use" in said and f"process {first.pid})" in said
        said = refused(capsys, "run", str(tmp_path / "x.json"), "--out", str(out))
        assert said.startswith("truetile run: ") and f"process {first.pid})" in said
        assert {path.name for path in out.iterdir()} == known, "nothing was written meanwhile"
    finally:
        first.communicate("\n", timeout=60)
    assert first.returncode == 0 and (out / "timeline.json").exists()
    assert not (out / NAME).exists()
    assert cli.main(["memory", "record", "--out", str(out), "--", "true"]) == 0


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_the_lock_of_a_killed_writer_is_taken_over(tmp_path) -> None:
    first = holder(tmp_path)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    first.stdin.close()
    first.stdout.close()
    assert (tmp_path / NAME).read_text() == str(first.pid), "it is still there"
    with locked("out", tmp_path):
        assert (tmp_path / NAME).read_text() == str(os.getpid())
    assert not (tmp_path / NAME).exists()


def test_a_file_of_a_pid_that_lives_again_keeps_nobody_out(tmp_path) -> None:
    """Pids come again: what counts is the lock, not the number."""
    (tmp_path / NAME).write_text(str(os.getppid()))
    with locked("out", tmp_path):
        pass


def test_of_many_at_once_one_gets_in_at_a_time(tmp_path) -> None:
    code = (
        "import sys, time, pathlib; sys.path.insert(0, sys.argv[1])\n"
        "from truetile.errors import InvalidArgument\n"
        "from truetile.watch.lock import locked\n"
        "folder, inside, got = pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[2], 'inside'), 0\n"
        "end = time.monotonic() + 2\n"
        "while time.monotonic() < end:\n"
        "    try:\n"
        "        with locked('out', folder):\n"
        "            inside.mkdir()\n"  # raises FileExistsError when another one is in
        "            inside.rmdir()\n"
        "            got += 1\n"
        "    except InvalidArgument:\n"
        "        pass\n"
        "print(got)\n"
    )
    command = [sys.executable, "-c", code, str(ROOT), str(tmp_path)]
    runners = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for runner in runners:
        said, problem = runner.communicate(timeout=60)
        assert runner.returncode == 0, problem
        assert int(said) > 0


def test_a_folder_that_cannot_be_written(tmp_path) -> None:
    (tmp_path / NAME).mkdir()
    with pytest.raises(InvalidArgument, match=r"o=.*: cannot be written"), locked("o", tmp_path):
        pass
