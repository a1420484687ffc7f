"""The frame around all commands: help, exit status, one line for every error, start-up without torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import nasrec
from nasrec.cli.commands import doctor
from nasrec.cli.frame import COMMANDS
from nasrec.errors import DataError

PYTHON = [sys.executable, "-m", "nasrec"]


def shell(*args: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PYTHON, *args], capture_output=True, text=True, timeout=120, **options)


def test_help_lists_every_command(cli: Any) -> None:
    done = cli("--help")
    assert done.status == 0 and done.err == ""
    for name in COMMANDS:
        assert f"\n    {name}" in done.out


ACTIONS = {"pim": ("map",), "supernet": ("score",)}
"""An action of each command that has several."""


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(cli: Any, command: str) -> None:
    words = (command, *ACTIONS.get(command, ()))
    done = cli(*words, "--help")
    assert done.status == 0 and done.err == ""
    assert done.out.startswith(f"usage: nasrec {' '.join(words)}")
    assert "--json" in done.out


def test_version(cli: Any) -> None:
    assert cli("--version").out == f"nasrec {nasrec.__version__}\n"


def test_no_command(cli: Any) -> None:
    cli().fails_with("name a command", *COMMANDS, "nasrec --help")


def test_unknown_command(cli: Any) -> None:
    cli("complie").fails_with("complie", "nasrec --help")


@pytest.mark.parametrize("command", COMMANDS)
def test_unknown_option(cli: Any, command: str) -> None:
    needed = {"train": ["dlrm", "--data", "x"], "export": ["dlrm", "--format", "pt2", "-o", "x"]}
    needed |= {"supernet": ["x.pt", "criteo-full", "--data", "x"], "search": ["--supernet", "x.pt", "--data", "x"]}
    needed["codesign"] = needed["search"]
    positional = needed.get(command, ["dlrm"] if command in ("compile", "inspect", "profile", "pim", "report") else [])
    cli(command, *ACTIONS.get(command, ()), *positional, "--bogus").fails_with("--bogus", "--help'")


@pytest.mark.parametrize("text", ["x", "-1", "1.5", "99999999999999999999"])
def test_numbers_out_of_range_name_the_option(cli: Any, text: str) -> None:
    cli("compile", "criteo-full", "--dense", text).fails_with("--dense", "nasrec compile --help")


def test_an_error_of_many_lines_becomes_one(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(args: object) -> int:
        raise DataError("first line\n  second line\n")

    monkeypatch.setattr(doctor, "run", fail)
    done = cli("doctor")
    done.fails_with("nasrec: first line second line")


def test_interrupt(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(args: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor, "run", interrupt)
    done = cli("doctor")
    assert (done.status, done.err) == (130, "nasrec: interrupted\n")


def test_bugs_are_not_hidden(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(args: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(doctor, "run", bug)
    with pytest.raises(ZeroDivisionError):
        cli("doctor")


@pytest.mark.parametrize("where", ["before", "after"])
def test_verbose_logs_to_stderr(cli: Any, own: Path, columns: Any, where: str) -> None:
    args = ["-vv", "inspect", own, *columns] if where == "before" else ["inspect", own, *columns, "-vv"]
    done = cli(*args)
    assert "DEBUG nasrec_ir.passes.base: prune-dead" in done.err
    assert done.out.startswith("graph little(")
    assert cli("inspect", own, *columns).err == ""  # and the next run is quiet again


def test_broken_pipe_is_quiet() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*PYTHON, "inspect", "criteo-full"], stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_exit_status_reaches_the_shell(tmp_path: Path) -> None:
    missing = shell("compile", str(tmp_path / "none.json"))
    assert missing.returncode == 2 and missing.stdout == ""
    assert missing.stderr.count("\n") == 1 and "none.json: cannot be read" in missing.stderr
    assert shell("inspect", "criteo-full", "--format", "png").returncode == 2


def test_a_terminal_without_unicode_does_not_stop_the_work(own: Path) -> None:
    done = shell("compile", str(own), *map(str, ("--dense", 1, "--sparse", 1)), "-o", str(own.parent / "mö.py"),
                 env={**os.environ, "PYTHONIOENCODING": "ascii"})  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "m?.py" in done.stdout


@pytest.mark.parametrize(
    "args",
    [["--help"], ["train", "--help"], ["demo", "--help"], ["inspect", "criteo-full"], ["inspect", "dlrm", "--dense",
     "2", "--sparse", "3", "--cost"], ["inspect", "kdd-small", "--format", "svg"], ["compile", "criteo-full"]],
    ids=lambda args: " ".join(args),
)  # fmt: skip
def test_starts_without_torch(args: list[str]) -> None:
    program = (
        "import sys; from nasrec.cli import main; status = main(sys.argv[1:]); "
        "heavy = {'torch', 'pandas', 'matplotlib', 'scipy'} & set(sys.modules); assert not heavy, heavy; "
        "sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", program, *args], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
