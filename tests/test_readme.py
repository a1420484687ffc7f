"""What README.md and the pages of docs/ tell people to type works.

Lines of fenced shell blocks that begin with `nasrec `, and Python blocks that begin with an import, run in their order
in one folder, all pages together: README.md first, then docs/ by name; a page with the remark `<!-- test in a folder of
its own -->` begins in an empty one. A remark `<!-- test COMMAND: OPTIONS -->` adds options to the lines of one command
of its page, to keep the test short: `<!-- test demo: --rows 2000 -->`. `<!-- test text: OLD => NEW -->` replaces text
in the page's blocks before they run. Readers see none of these.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nasrec.cli import main

README = Path(__file__).parent.parent / "README.md"
PAGES = (README, *sorted((README.parent / "docs").glob("*.md")))
FENCED = re.compile(r"^```(?P<language>\w*)\n(?P<body>.*?)^```", re.MULTILINE | re.DOTALL)
OPTIONS = re.compile(r"<!-- test (?P<command>(?!text:)\w+): (?P<options>.*?) -->")
REPLACED = re.compile(r"<!-- test text: (?P<old>.+?) => (?P<new>.*?) -->")
OWN_FOLDER = "<!-- test in a folder of its own -->"
SHELL, PYTHON = ("sh", "shell", "bash", "console", ""), ("python", "py")


def text_of(page: Path) -> str:
    """The page as it is tested."""
    text = page.read_text(encoding="utf-8")
    for match in REPLACED.finditer(text):
        assert text.count(match["old"]) > 1, f"{page.name}: {match[0]} replaces nothing"
        text = text.replace(match["old"], match["new"])
    return text


def steps_of(page: Path) -> list[list[str]]:
    """Arguments for Python: of every `nasrec` line, continuation lines joined and comments cut, and of programs."""
    text = text_of(page)
    extra = {match["command"]: shlex.split(match["options"]) for match in OPTIONS.finditer(text)}
    steps = []
    for match in FENCED.finditer(text):
        if match["language"] in PYTHON and match["body"].startswith(("import ", "from ")):
            steps.append(["-c", match["body"]])
        elif match["language"] in SHELL:
            lines = match["body"].replace("\\\n", " ").splitlines()
            words = [shlex.split(line.removeprefix("$ "), comments=True) for line in lines if "nasrec " in line]
            steps += [["-m", *line, *extra.get(line[1], [])] for line in words if line and line[0] == "nasrec"]
    return steps


def groups() -> list[list[Path]]:
    """Pages that share a folder."""
    shared = [page for page in PAGES if OWN_FOLDER not in page.read_text(encoding="utf-8")]
    return [shared, *([page] for page in PAGES if page not in shared)]


@pytest.mark.slow
@pytest.mark.parametrize("pages", groups(), ids=lambda pages: pages[0].stem)
def test_every_block_runs(tmp_path: Path, pages: list[Path], monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    """Commands run in this process, which has imported what each of them would import anew."""
    steps = [step for page in pages for step in steps_of(page)]
    assert len(steps) >= 3, f"{pages[0].name} shows too few commands"
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NASREC_DATA", raising=False)
    for step in steps:
        if step[0] == "-m":
            status, said = main(step[2:]), capfd.readouterr().err
        else:
            done = subprocess.run([sys.executable, *step], capture_output=True, text=True, timeout=120)
            status, said = done.returncode, done.stderr
        assert status == 0, f"{shlex.join(step)}\n{said}"
        for option in ("-o", "--output", "--dump-ir", "--save-weights", "--trace", "--roofline"):
            if option in step:
                assert Path(step[len(step) - step[::-1].index(option)]).exists(), shlex.join(step)


def test_remarks_name_commands_that_are_shown() -> None:
    for page in PAGES:
        named = {match["command"] for match in OPTIONS.finditer(page.read_text(encoding="utf-8"))}
        assert named <= {step[2] for step in steps_of(page) if step[0] == "-m"}, page.name
