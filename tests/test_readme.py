"""What README.md and the pages of docs/ tell people to type works.

Lines of fenced shell blocks that begin with `nasrec ` run in their order in one empty folder; Python blocks that begin
with an import run too. A remark `<!-- test COMMAND: OPTIONS -->`, which readers do not see, adds options to the lines
of one command, to keep the test short: `<!-- test demo: --rows 2000 -->`.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
PAGES = (README, *sorted((README.parent / "docs").glob("*.md")))
FENCED = re.compile(r"^```(?P<language>\w*)\n(?P<body>.*?)^```", re.MULTILINE | re.DOTALL)
REMARK = re.compile(r"<!-- test (?P<command>\w+): (?P<options>.*?) -->")


def blocks(*languages: str) -> list[str]:
    assert README.exists(), "README.md is missing: it must show the commands that people type"
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    return [match["body"] for match in FENCED.finditer(text) if match["language"] in languages]


def shown_commands() -> list[list[str]]:
    """The arguments of every `nasrec` line, continuation lines joined, comments cut."""
    lines = "\n".join(blocks("sh", "shell", "bash", "console", "")).replace("\\\n", " ").splitlines()
    words = [shlex.split(line.removeprefix("$ "), comments=True) for line in lines if "nasrec " in line]
    return [line[1:] for line in words if line and line[0] == "nasrec"]


def extra_options() -> dict[str, list[str]]:
    found = REMARK.finditer("".join(page.read_text(encoding="utf-8") for page in PAGES))
    return {match["command"]: shlex.split(match["options"]) for match in found}


@pytest.mark.slow
def test_every_command_runs(tmp_path: Path) -> None:
    commands, extra = shown_commands(), extra_options()
    assert len(commands) >= 3, "README.md shows too few nasrec commands"
    for arguments in commands:
        full = [*arguments, *extra.get(arguments[0], [])]
        done = subprocess.run(
            [sys.executable, "-m", "nasrec", *full], cwd=tmp_path, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"nasrec {shlex.join(full)}\n{done.stderr}"
        for option in ("-o", "--output", "--dump-ir", "--save-weights", "--trace", "--roofline"):
            if option in full:
                assert (tmp_path / full[len(full) - full[::-1].index(option)]).exists(), shlex.join(full)


def test_remarks_name_commands_that_are_shown() -> None:
    assert set(extra_options()) <= {arguments[0] for arguments in shown_commands()}


def test_python_blocks_run(tmp_path: Path) -> None:
    programs = [body for body in blocks("python", "py") if body.startswith(("import ", "from "))]
    assert programs, "README.md shows no Python program"
    for program in programs:
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, f"{program}\n{done.stderr}"
