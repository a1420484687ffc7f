"""`nasrec.runs.search` and `retrain`: from a supernet to a chosen model that is a run like any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasrec import SearchSpace, Supernet, reports, runs
from nasrec.data import ClickLog, Splits, synthesize
from nasrec.errors import RunError, SearchError, TrainError
from nasrec.search import Journal, Trial
from nasrec.supernet import save
from nasrec.train import TrainConfig, TrainingRecipe

ROWS = runs.DataSource("synth:frappe", rows=1500)
SHORT = TrainingRecipe(TrainConfig(batch_size=256, max_steps=3, lr=0.1))
RANDOM = runs.SearchOptions(algorithm="random", evaluations=6, finetune=0, valid_rows=100, recipe=SHORT, seeds=2)


@pytest.fixture(scope="module")
def supernet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained, which ranks as well as any here."""
    features = synthesize("frappe", 1500, 0).log.features(8)
    space = SearchSpace.small(2, dense_dims=(16, 32), sparse_dims=(16,))
    path = tmp_path_factory.mktemp("supernet") / "supernet.pt"
    save(Supernet(space, features, masking="sliced", seed=0), path)
    return path


def options(**changes: Any) -> runs.SearchOptions:
    return runs.SearchOptions(**{**vars(RANDOM), **changes})


def test_what_was_found(supernet: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = runs.search(supernet, ROWS, tmp_path, RANDOM, progress=False)
    assert capfd.readouterr() == ("", "")
    assert len(found.trials) == 6 and found.best is not None and found.chosen is None and not found.interrupted
    assert found.best.values["log_loss"] == min(trial.values["log_loss"] for trial in found.trials)
    assert found.best.candidate in SearchSpace.small(2)
    loaded = runs.load(tmp_path)
    assert isinstance(loaded, runs.SearchRun) and loaded.trials == found.trials and loaded.report == found.report
    untrained = runs.open_run(tmp_path)
    assert untrained.architecture.genotype is not None and untrained.weights is None
    assert untrained.architecture.genotype.blocks == found.best.candidate.blocks
    assert reports.write(found).is_file() and (tmp_path / "history.png").is_file()


def test_the_chosen_model_is_a_run_like_any_other(supernet: Path, tmp_path: Path) -> None:
    found = runs.search(supernet, ROWS, tmp_path / "search", options(retrain=2), progress=False)
    chosen = found.chosen
    assert chosen is not None and chosen.folder == tmp_path / "search" / "chosen" and len(chosen.seeds) == 2
    loaded = runs.load(chosen.folder)
    assert isinstance(loaded, runs.TrainRun) and loaded.scores == chosen.scores
    own = runs.open_run(tmp_path / "search")
    assert (own.folder == chosen.folder / "seed-0" and own.data == ROWS) or own.data is not None
    assert own.graph == chosen.model().graph and own.features is not None and own.features.embedding_dim == 8
    small = runs.quantize(tmp_path / "search", out=tmp_path / "small", progress=False)
    float_scores = chosen.seeds[0].scores["test"]["log_loss"]
    assert small.stages["float"]["test"]["log_loss"] == pytest.approx(float_scores, rel=1e-6)
    again = runs.search(supernet, ROWS, tmp_path / "search", options(retrain=2), progress=False)
    assert again.chosen is not None and again.chosen.scores == chosen.scores


def test_an_interrupted_search_goes_on(supernet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = runs.search(supernet, ROWS, tmp_path / "whole", RANDOM, progress=False)
    real = Journal.add

    def interrupted(self: Journal[Any], trial: Trial[Any]) -> None:
        real(self, trial)
        if trial.number == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "add", interrupted)
    assert runs.search(supernet, ROWS, tmp_path / "broken", RANDOM, progress=False).interrupted
    monkeypatch.setattr(Journal, "add", real)
    events: list[runs.Event] = []
    ended = runs.search(supernet, ROWS, tmp_path / "broken", RANDOM, progress=events.append)
    assert (events[0].label, events[0].done, events[0].total, events[0].unit) == ("search", 4, 6, "genotypes")
    assert [(t.candidate, t.values) for t in ended.trials] == [(t.candidate, t.values) for t in whole.trials]
    with pytest.raises(SearchError, match="was begun with seed 0, this has 1"):
        runs.search(supernet, ROWS, tmp_path / "broken", options(seed=1), progress=False)


def test_limits_that_nothing_keeps_leave_nothing_to_train(supernet: Path, tmp_path: Path) -> None:
    with pytest.raises(SearchError, match=r"no genotype keeps all limits.*macs<=3 \(the smallest seen is [0-9,]+\)"):
        runs.search(supernet, ROWS, tmp_path, options(limits=("macs<=3",), retrain=1), progress=False)
    found = runs.load(tmp_path)
    assert isinstance(found, runs.SearchRun) and found.best is None and len(found.trials) == 6  # nothing is lost


def test_rows_in_memory(supernet: Path, tmp_path: Path) -> None:
    splits: Splits[ClickLog] = synthesize("frappe", 1500, 0).log.split()
    named = runs.search(supernet, ROWS, tmp_path / "named", RANDOM, progress=False)
    held = runs.search(supernet, splits, tmp_path / "held", RANDOM, progress=False)
    assert [trial.values for trial in held.trials] == [trial.values for trial in named.trials]


def test_genotypes_are_retrained(tmp_path: Path) -> None:
    space, rng = SearchSpace.small(2, dense_dims=(16, 32), sparse_dims=(16,)), np.random.default_rng(0)
    genotypes = [space.sample(rng) for _ in range(2)]
    how = runs.RetrainOptions(recipe=SHORT, rates=(0.05, 0.1), rate_trials=2, seeds=1, embedding_dim=4)
    run = runs.retrain(genotypes, ROWS, tmp_path, how, progress=False)
    tried = run.report["retrain"]["candidates"]
    assert [(one["trial"], one["lr"]) for one in tried] == [(0, 0.05), (0, 0.1), (1, 0.05), (1, 0.1)]
    best = min(tried, key=lambda one: one["valid"]["log_loss"])
    assert run.report["retrain"]["chosen"] == {"trial": best["trial"], "lr": best["lr"]}
    assert run.chosen is not None and run.chosen.lr == best["lr"]
    loaded = runs.load(tmp_path)
    assert isinstance(loaded, runs.RetrainRun) and loaded.chosen is not None
    assert runs.open_run(tmp_path).folder == run.chosen.folder / "seed-0"
    with pytest.raises(TrainError, match="there is no genotype to train"):
        runs.retrain([], ROWS, tmp_path / "none", progress=False)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"algorithm": "grid"}, SearchError, "algorithm must be evolution or random or nsga2, not 'grid'"),
        ({"operators": "two"}, SearchError, "operators must be single or any"),
        ({"evaluations": 0}, SearchError, "evaluations must be a whole number of at least 1, not 0"),
        ({"workers": 1.5}, SearchError, "workers must be a whole number"),
        ({"objectives": ()}, SearchError, "objectives must be at least one"),
        ({"rates": (0.2, 0.1), "retrain": 1}, TrainError, "0 < LOW <= HIGH"),
    ],
    ids=str,
)
def test_bad_options(
    supernet: Path, tmp_path: Path, changes: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        runs.search(supernet, ROWS, tmp_path / "run", options(**changes), progress=False)
    assert not (tmp_path / "run").exists()


def test_rows_that_nothing_names(supernet: Path, tmp_path: Path) -> None:
    with pytest.raises(SearchError, match="does not say which rows it was trained on"):
        runs.search(supernet, out=tmp_path / "run", options=RANDOM, progress=False)
    with pytest.raises(RunError, match="mistyped: no such file or folder"):
        runs.search(tmp_path / "mistyped", out=tmp_path / "run", options=RANDOM, progress=False)
