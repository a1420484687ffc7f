"""The command line in this process, and small files to give it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nasrec import Block, Genotype
from nasrec.cli import main
from nasrec.interop import release


@dataclass(frozen=True)
class Outcome:
    """What one run of the command line gave."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def fails_with(self, *words: str) -> None:
        """Exit status 2, nothing on standard output, one line on standard error that has all of the words."""
        assert self.status == 2, self
        assert self.out == "", self
        assert self.err.endswith("\n") and self.err.count("\n") == 1, self
        assert "Traceback" not in self.err and self.err.startswith("nasrec"), self
        for word in words:
            assert word in self.err, self


Cli = Callable[..., Outcome]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """`cli("compile", path, ...)` runs the command line."""
    monkeypatch.delenv("NASREC_DATA", raising=False)

    def run(*args: object) -> Outcome:
        capsys.readouterr()
        status = main([str(arg) for arg in args])
        return Outcome(status, *capsys.readouterr())

    return run


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """For runs that train in less time than their report takes to draw."""
    monkeypatch.setattr("nasrec.reports.write", lambda *args: None)


@pytest.fixture
def genotype() -> Genotype:
    """Three blocks of which the second is dead, every operator used, widths that train in no time."""
    block = Block(
        operators=("fc", "dot_product", "efc"),
        dense_width=16,
        sparse_width=6,
        dense_inputs=(0,),
        sparse_inputs=(0,),
        left_inputs=(0,),
        right_inputs=(0,),
        dense_to_sparse=True,
        fm=True,
    )
    dead = Block(("fc", "efc"), 24, 4, (1,), (1,), (1,), (1,), False, False)
    last = Block(("sigmoid_gating", "sum", "attention"), 16, 5, (0, 1), (0, 1), (1,), (0,), False, True)
    return Genotype((block, dead, last), name="little")


@pytest.fixture
def own(genotype: Genotype, tmp_path: Path) -> Path:
    """The genotype in a file of the project's own form."""
    path = tmp_path / "little.json"
    genotype.save(path)
    return path


@pytest.fixture
def released(genotype: Genotype, tmp_path: Path) -> Path:
    """The same in a file of the release's form, beside what the release's searcher notes of a run."""
    path = tmp_path / "released.json"
    path.write_text(json.dumps({"choice": release.dump_genotype(genotype), "test_loss": 0.45}), encoding="utf-8")
    return path


COLUMNS = ("--dense", 3, "--sparse", 4, "--cardinality", 11)


@pytest.fixture
def columns() -> tuple[object, ...]:
    """Options that state the columns of small data."""
    return COLUMNS
