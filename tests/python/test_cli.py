"""The command line: what it finds, and one line for every mistake."""

from __future__ import annotations

import re

import pytest

import truetile
from truetile import cli, commands
from truetile.errors import InvalidArgument
from truetile.native import locate
from truetile.sizes import parse_bytes


def failed(capsys, *argv: str) -> tuple[int, str]:
    """Exit code and stderr of a call that must fail."""
    try:
        code = cli.main(argv)
    except SystemExit as end:
        code = end.code
    said = capsys.readouterr()
    assert said.out == ""
    return code, said.err


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("1", 1),
        ("4096B", 4096),
        ("0.5GiB", 1 << 29),
        ("512MiB", 1 << 29),
        (" 1.5 kib ", 1536),
        (".25TiB", 1 << 38),
    ],
)
def test_sizes(text: str, count: int) -> None:
    assert parse_bytes("budget", text) == count


@pytest.mark.parametrize("text", ["", "GiB", "-1GiB", "1GB", "1e9", "1 2", "half", "0", "0.1B"])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(InvalidArgument, match=re.escape(f"budget={text}: must be ")):
        parse_bytes("budget", text)


def test_version(capsys) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"truetile {truetile.__version__}\n"


def test_every_command_is_listed_and_described(capsys) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    text = capsys.readouterr().out
    assert "demo" in text and "doctor" in text
    with pytest.raises(SystemExit):
        cli.main(["demo", "--help"])
    assert "--budget" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ((), "truetile: the following arguments are required: COMMAND"),
        (("dmo",), "truetile: COMMAND: invalid choice: 'dmo'"),
        (("demo", "--budget", "a lot"), "truetile demo: --budget: budget=a lot: must be a number"),
        (("demo", "--budget", "0B"), "truetile demo: --budget: budget=0B: must be at least 1 byte"),
        (("demo", "--threads", "0"), "truetile demo: --threads: threads=0: must be a whole number"),
        (("demo", "--device", "tpu"), "truetile demo: --device: invalid choice: 'tpu'"),
        (("demo", "--vae", "no.safetensors"), "truetile demo: vae=no.safetensors: no such file"),
    ],
)
def test_mistakes_take_one_line_and_exit_code_2(capsys, argv, message) -> None:
    code, said = failed(capsys, *argv)
    assert code == 2
    assert said.startswith(message) and said.count("\n") == 1


def test_doctor_says_what_is_there_and_why_not(capsys) -> None:
    pytest.importorskip("torch")
    assert cli.main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert f"truetile {truetile.__version__}" in text and "torch " in text
    for name in ("_truetile_core", "truetile_ops", "truetile_ops_cuda"):
        assert re.search(rf"^{name}: (/|[A-Z]:|not used, .)", text, re.MULTILINE)
    with locate.without_native():
        assert cli.main(["doctor"]) == 0
    assert re.search("truetile_ops: not used, .*TRUETILE_NATIVE=0", capsys.readouterr().out)


def test_doctor_says_which_allocator_settings_are_in_force(capsys, monkeypatch) -> None:
    torch = pytest.importorskip("torch")
    from truetile.commands import doctor
    from truetile.memory import torch_stats

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch_stats, "backend", lambda: "cudaMallocAsync")
    for name in ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTORCH_CUDA_ALLOC_CONF", "max_split_size_mb:128")
    assert doctor._torch()
    text = capsys.readouterr().out
    assert "torch's allocator: cudaMallocAsync" in text
    assert "max_split_size_mb:128: NOT in force" in text
    assert "of this process" in text


def test_errors_of_a_command(capsys, monkeypatch) -> None:
    from truetile.commands import doctor

    outcomes = {
        InvalidArgument("overlap=64: must be in [0, 63] (tile=64)"): 2,
        commands.CommandFailed("untiled: out of memory"): 1,
        OSError(28, "No space left on device"): 1,
        KeyboardInterrupt(): 130,
    }
    for error, code in outcomes.items():

        def run(args, error=error):
            raise error

        monkeypatch.setattr(doctor, "run", run)
        got, said = failed(capsys, "doctor")
        assert got == code
        assert said == f"truetile doctor: {str(error) or 'interrupted'}\n"


def test_a_bug_keeps_its_traceback(monkeypatch) -> None:
    from truetile.commands import doctor

    def run(args):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(doctor, "run", run)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        cli.main(["doctor"])
