"""`nasrec --print-completion`: the scripts complete commands, options, choices and files."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nasrec.cli.completion import SHELLS

# What bash does when Tab is pressed: words up to the cursor, the last one to be completed.
PRESS_TAB = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
_shtab_nasrec nasrec "${@: -1}" "${@: -2:1}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def script(cli: Any, tmp_path: Path) -> Path:
    pytest.importorskip("shtab")
    done = cli("--print-completion", "bash")
    assert (done.status, done.err) == (0, "")
    path = tmp_path / "completion.bash"
    path.write_text(done.out)
    return path


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["tr"], ["train"]),
        (["pim", "ma"], ["map"]),
        (["train", "dlrm", "--shard-t"], ["--shard-tables"]),
        (["export", "dlrm", "--format", ""], ["onnx", "pt2"]),
        (["compile", "gen"], ["genotype.json"]),
        (["train", "dlrm", "--data", "pre"], ["prepared"]),
    ],
    ids=lambda words: " ".join(words),
)
def test_bash_completes(script: Path, tmp_path: Path, words: list[str], completed: list[str]) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    (tmp_path / "genotype.json").touch()
    (tmp_path / "prepared").mkdir()
    command = [bash, "-c", PRESS_TAB, "bash", str(script), "nasrec", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.split() == completed, done.stderr


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_is_served(cli: Any, shell: str) -> None:
    pytest.importorskip("shtab")
    done = cli("--print-completion", shell)
    assert done.status == 0 and "supernet" in done.out and "--print-completion" in done.out


def test_bad_shell_and_missing_package(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cli("--print-completion", "fish").fails_with("fish", *SHELLS)
    monkeypatch.setitem(sys.modules, "shtab", None)
    cli("--print-completion", "bash").fails_with("needs the package shtab; run: pip install 'nasrec[completion]'")
