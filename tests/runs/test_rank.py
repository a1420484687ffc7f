"""`nasrec.runs.rank` and `compare_algorithms`: what they give, go on with and refuse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import nasrec.rank.truth
from nasrec import reports, runs
from nasrec.errors import NasrecError, RunError, SearchError, SpaceError
from nasrec.rank import Table
from nasrec.runs import ComparisonOptions, DataSource, RankOptions, RankRun, SupernetOptions, SupernetRun
from nasrec.train import TrainConfig, TrainingRecipe

ROWS = DataSource("synth:frappe", rows=1500)
SPACE: dict[str, Any] = {"space": "small", "blocks": 1, "dense_widths": (16, 32), "sparse_widths": (16,)}
QUICK = RankOptions(
    **SPACE, embedding_dim=4, architectures=4, finetune=3, valid_rows=100,
    recipe=TrainingRecipe(TrainConfig(batch_size=256, max_steps=3)),
)  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> RankRun:
    return runs.rank(ROWS, tmp_path_factory.mktemp("study"), QUICK, progress=False)


@pytest.fixture(scope="module")
def supernet(tmp_path_factory: pytest.TempPathFactory) -> SupernetRun:
    options = SupernetOptions(**SPACE, embedding_dim=4, batch_size=256, max_steps=3, seed=0)
    return runs.train_supernet(ROWS, tmp_path_factory.mktemp("supernet"), options, progress=False)


def test_what_a_study_gives(study: RankRun) -> None:
    assert study.command == "rank" and not study.interrupted and study.architectures == 4
    assert [one.finetune for one in study.ranked] == [0, 3]
    table = study.table()
    assert study.ranked[0].truth == tuple(table.scores(table.genotypes)) == study.ranked[1].truth
    tau = study.ranked[0].statistics["kendall"]
    assert tau._asdict() == study.report["ranked"][0]["statistics"]["kendall"] and tau.low <= tau.value <= tau.high
    assert study.best.statistics["kendall"].value == max(one.statistics["kendall"].value for one in study.ranked)
    (gain,) = study.differences
    assert (gain.trait, gain.of, gain.over, gain.pairs) == ("fine-tuned", 3, 0, 1)
    assert gain.statistics["kendall"].value == pytest.approx(
        study.ranked[1].statistics["kendall"].value - study.ranked[0].statistics["kendall"].value
    )
    assert runs.load(study.folder) == study


def test_pictures_are_drawn_from_the_report(study: RankRun) -> None:
    assert not list(study.folder.glob("*.png"))
    reports.write(study)
    assert {path.name for path in study.folder.glob("*.png")} == {"scatter.png", "cdf.png"}


def test_it_goes_on_after_an_interrupt(study: RankRun, tmp_path: Path, monkeypatch: Any, capfd: Any) -> None:
    train, done = nasrec.rank.truth.train_entry, []

    def interrupted(*args: Any) -> Any:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(train(*args))
        return done[-1]

    with monkeypatch.context() as patch:
        patch.setattr(nasrec.rank.truth, "train_entry", interrupted)
        stopped = runs.rank(ROWS, tmp_path, QUICK, progress=False)
    assert stopped.interrupted and not (tmp_path / "report.json").exists()
    assert len(Table.load(tmp_path / "truth.jsonl")) == 2
    counted = []
    with monkeypatch.context() as patch:
        patch.setattr(nasrec.rank.truth, "train_entry", lambda *args: counted.append(0) or train(*args))
        whole = runs.rank(ROWS, tmp_path, QUICK, progress=False)
    assert len(counted) == 2 and whole.report["ranked"] == study.report["ranked"]
    assert capfd.readouterr() == ("", "")


def test_a_supernet_says_space_channels_and_rows(supernet: SupernetRun, tmp_path: Path) -> None:
    own = replace(QUICK, space=None, blocks=None, dense_widths=None, sparse_widths=None, embedding_dim=None)
    found = runs.rank(None, tmp_path / "known", replace(own, supernet=supernet.folder), progress=False)
    assert found.report["settings"]["embedding_dim"] == 4
    assert found.report["settings"]["space"] == supernet.space.to_dict()
    assert found.report["data"] == supernet.report["data"]
    assert found.ranked[0].traits["masking"] == "published"
    stated = runs.rank(ROWS, tmp_path / "stated", replace(QUICK, supernet=supernet.path), progress=False)
    assert stated.report["ranked"] == found.report["ranked"]


def test_what_contradicts_the_supernet(supernet: SupernetRun, tmp_path: Path) -> None:
    known = RankOptions(supernet=supernet.folder)
    for options, words in (
        (replace(known, blocks=2), "its space has num_blocks 1, the options say 2"),
        (replace(known, embedding_dim=8), "has 4 channels of an embedding, embedding_dim says 8"),
    ):
        with pytest.raises((RunError, SpaceError), match=words):
            runs.rank(None, tmp_path, options, progress=False)
    with pytest.raises(RunError, match="does not say which rows"):
        runs.rank(None, tmp_path, RankOptions(supernet=supernet.path), progress=False)
    with pytest.raises(NasrecError, match="synth:criteo: has 13 dense"):
        runs.rank(DataSource("synth:criteo", rows=500), tmp_path, known, progress=False)
    with pytest.raises(RunError, match="the rows are missing"):
        runs.rank(options=QUICK, progress=False)


def test_progress(study: RankRun, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    events: list[runs.Event] = []
    runs.rank(ROWS, tmp_path, replace(QUICK, truth=study.table_file), progress=events.append)
    assert capfd.readouterr() == ("", "")
    name = "single-operator-any-connection-published"
    assert [*dict.fromkeys(event.label for event in events)] == [
        "ground truth", name, f"{name}, 0 steps", f"{name}, 3 steps"
    ]  # fmt: skip


def test_algorithms_are_compared(study: RankRun, tmp_path: Path) -> None:
    found = runs.compare_algorithms(study.folder, tmp_path / "a", ComparisonOptions(budget=3, seeds=5))
    assert found.architectures == 4 and found.budget == 3 and found.seeds == 5
    assert set(found.regret) == {"random search", "regularized evolution"}
    for name, regret in found.regret.items():
        curve = found.report["curves"][name]
        assert all(len(curve[end]) == 3 for end in ("mean", "low", "high"))
        assert curve["mean"][-1] == pytest.approx(regret.value) and curve["low"][-1] <= curve["high"][-1]
        assert min(curve["mean"]) >= 0  # less the best of the table
    drawn, evolved = found.regret["random search"].value, found.regret["regularized evolution"].value
    assert found.advantage.value == pytest.approx(drawn - evolved)
    assert runs.load(found.folder) == found
    for same in (study, study.table(), study.table_file):
        assert runs.compare_algorithms(same, tmp_path / "b", ComparisonOptions(3, 5)).regret == found.regret
    assert not (found.folder / "contest.png").exists()
    reports.write(found)
    assert (found.folder / "contest.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_no_table(study: RankRun, supernet: SupernetRun, tmp_path: Path) -> None:
    for table, options, words in (
        (tmp_path / "none", None, "none: cannot be read"),
        (supernet.folder, None, "is no ranking study"),
        (study, ComparisonOptions(budget=99), "a budget from 1 to the table's 4 architectures"),
    ):
        with pytest.raises(NasrecError, match=words):
            runs.compare_algorithms(table, tmp_path / "out", options)
    with pytest.raises(NasrecError, match="holds what 'nasrec rank' found"):
        runs.compare_algorithms(study, study.folder)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"architectures": 2}, "architectures must be a whole number of at least 3, not 2"),
        ({"finetune": 0}, "finetune must be"),
        ({"supernet_lr": 0}, "supernet_lr must be a positive number"),
        ({"matrix": True, "supernet": "x.pt"}, "matrix trains supernets; leave out --supernet"),
        ({"blocks": 0}, "blocks must be"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], words: str) -> None:
    with pytest.raises((SearchError, SpaceError), match=words):
        RankOptions(**options)


def test_comparisons_out_of_range() -> None:
    for options, words in (({"seeds": 1}, "seeds must be"), ({"budget": 0}, "budget must be")):
        with pytest.raises(SearchError, match=words):
            ComparisonOptions(**options)
