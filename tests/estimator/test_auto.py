"""`model="auto"`: what a time limit buys, told by a clock of the test's own, and once with real trainings."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nasrec import CTRClassifier, runs
from nasrec.errors import EstimatorError, TrainError
from nasrec.estimator import auto, trainer
from nasrec.estimator.trainer import Candidate, Clock, Trainer, training_options
from tests.estimator.conftest import clicks

STEP_S = {"logistic_regression": 0.01, "dlrm": 0.02, "deepfm": 0.03, "dcn_v2": 0.03}
FIXED_S = 0.5


class FakeTime:
    """Stands for the module `time`."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


class FakeTrainer(Trainer):
    """Trainings that take time on the fake clock alone; larger models are better, and so are more steps."""

    def _run(self, model: Any, folder: str, max_steps: int | None, seeds: int) -> Any:
        if model == "broken":
            raise TrainError("the loss is not finite")
        steps = min(self.steps, max_steps or self.steps)
        step_s = STEP_S.get(model, 0.05)
        time = trainer.time
        time.now += FIXED_S * seeds + steps * step_s * seeds
        CALLS.append((folder, steps))
        return SimpleNamespace(
            scores={"valid": {"log_loss": 1 - step_s - steps * 1e-5, "auc": 0.5}}, folder=Path(folder),
            report={"train_s": steps * step_s, "steps": steps},
        )  # fmt: skip


CALLS: list[tuple[str, int]] = []


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeTrainer:
    """A thousand steps to a training."""
    CALLS.clear()
    time = FakeTime()
    monkeypatch.setattr(trainer, "time", time)
    monkeypatch.setattr(auto, "time", time)
    options = runs.TrainOptions(epochs=1, batch_size=100)
    return FakeTrainer(tmp_path, 100_000, 100, tmp_path, options)


@pytest.fixture
def no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "_searched", lambda *args: iter(()))


def clock_of(limit_s: float | None) -> Clock:
    return Clock(limit_s, trainer.time.monotonic)


@pytest.mark.parametrize(("limit_s", "steps"), [(None, 1000), (100.0, 1000), (15.0, 566), (8.0, 281)])
def test_a_training_gets_the_steps_that_fit(fake, limit_s, steps) -> None:
    found = fake.train_within(clock_of(limit_s), "dlrm", "dlrm", "dlrm")
    assert CALLS[-1][1] == pytest.approx(steps, abs=20) and found.log_loss is not None
    assert found.note == ("" if steps == 1000 else f"{CALLS[-1][1]} of 1,000 steps")
    assert trainer.time.now <= (limit_s or 100)


def test_too_little_time(fake) -> None:
    found = fake.train_within(clock_of(4.0), "dlrm", "dlrm", "dlrm")
    assert found.log_loss is None and found.note == "not trained: 4.5 s for a fifth of its steps, 3.2 s left"
    assert fake.train_within(clock_of(0.0), "dlrm", "dlrm", "dlrm").note == "not trained: no time left"
    found = fake.train_within(clock_of(4.0), "dlrm", "dlrm", "dlrm", always=True)
    assert found.log_loss is not None and CALLS[-1] == ("dlrm", 110)


def test_seeds_share_the_time(fake) -> None:
    three = dataclasses.replace(fake, options=dataclasses.replace(fake.options, seeds=3))
    three.train_within(clock_of(40.0), "dlrm", "dlrm", "dlrm")
    assert 400 < CALLS[-1][1] < 600 and trainer.time.now <= 40


@pytest.mark.parametrize("limit_s", [5.0, 40.0, 120.0, 300.0])
def test_the_limit_holds(fake, no_search, limit_s) -> None:
    found = auto.candidates(fake, clock_of(limit_s))
    assert [candidate.name for candidate in found] == list(auto.BASELINES)
    assert trainer.time.now <= limit_s
    trained = [candidate for candidate in found if candidate.log_loss is not None]
    assert trained[0].name == "logistic_regression" and len(trained) == {5: 1, 40: 3, 120: 5, 300: 7}[limit_s]
    assert all("not trained: " in candidate.note for candidate in found if candidate.log_loss is None)
    assert sum(candidate.seconds for candidate in found) == pytest.approx(trainer.time.now)
    assert auto.best_of(found).log_loss == min(candidate.log_loss for candidate in trained)


def test_one_that_fails_does_not_stop_the_others(fake, no_search, monkeypatch) -> None:
    monkeypatch.setattr(auto, "BASELINES", ("broken", "dlrm"))
    found = auto.candidates(fake, clock_of(None))
    assert found[0].note == "not trained: the loss is not finite" and auto.best_of(found).name == "dlrm"
    monkeypatch.setattr(auto, "BASELINES", ("broken",))
    with pytest.raises(EstimatorError, match="no model could be trained; broken: not trained: the loss is not finite"):
        auto.best_of(auto.candidates(fake, clock_of(None)))


def test_the_validation_rows_decide() -> None:
    found = [Candidate("a", None, None, 1.0), Candidate("b", 0.5, 0.9, 1.0), Candidate("c", 0.4, 0.1, 9.0)]
    assert auto.best_of(found).name == "c"


@pytest.mark.parametrize(
    ("rows", "batch_size", "epochs", "patience"),
    [(100, 32, 30, 3), (3000, 64, 13, 3), (20_000, 512, 4, None), (400_000, 512, 3, None), (5_000_000, 512, 1, None)],
)
def test_settings_follow_from_the_number_of_rows(rows, batch_size, epochs, patience) -> None:
    found = training_options(rows, epochs=None, batch_size=None)
    assert (found.batch_size, found.epochs, found.patience) == (batch_size, epochs, patience)
    given = training_options(rows, epochs=2, batch_size=7, lr=0.5)
    assert (given.batch_size, given.epochs, given.patience, given.lr) == (7, 2, None, 0.5)


def test_a_search_needs_time_to_train_what_it_finds(fake) -> None:
    """Baselines take up to ten seconds here; a search, with three tenths for trainings, more than thirty."""
    found = {candidate.name: candidate for candidate in auto.candidates(fake, clock_of(50.0))}
    assert found["logistic_regression"].log_loss and found["dlrm"].log_loss
    assert found["search"].log_loss is None
    assert re.fullmatch(r"not searched: \d\d\.\d s at least, 2\d\.\d s left", found["search"].note)
    assert trainer.time.now <= 50


@pytest.fixture
def small_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "BASELINES", ("logistic_regression", "dlrm"))
    monkeypatch.setattr(auto, "SPACE", {"space": "small", "blocks": 2, "dense_widths": (16,), "sparse_widths": (16,)})
    monkeypatch.setattr(auto, "_MOST_EVALUATIONS", 8)
    monkeypatch.setattr(auto, "_RETRAINED", 2)


def test_baselines_and_a_search(small_search) -> None:
    """With all the time that is needed; every training is scored on the same rows."""
    frame, target = clicks(800)
    model = CTRClassifier(time_limit_s=3600, embedding_dim=4, epochs=2, batch_size=64).fit(frame, target)
    board = model.leaderboard()
    names = set(board["model"])
    assert {"logistic_regression", "dlrm"} < names and len(names) == 4
    assert all(name.startswith("search, trial ") for name in names - {"logistic_regression", "dlrm"})
    assert board["valid_log_loss"].is_monotonic_increasing and board["valid_log_loss"].notna().all()
    assert board["chosen"].tolist() == [True, False, False, False] and (board["seconds"] > 0).all()
    net = runs.load(model.folder_ / "runs" / "search" / "supernet")
    found = runs.load(model.folder_ / "runs" / "search" / "found")
    assert isinstance(net, runs.SupernetRun) and isinstance(found, runs.SearchRun) and len(found.trials) == 8
    data = {net.report["data"]["sha256"]["valid"], found.report["data"]["sha256"]["valid"]}
    data |= {runs.load(path.parent).report["data"]["sha256"]["valid"]
             for path in (model.folder_ / "runs").rglob("report.json")}  # fmt: skip
    assert len(data) == 1
    assert model.score(*clicks(400, seed=1)) > 0.7
    again = model.fit(frame, target).leaderboard()
    assert again.loc[0, "model"] == board.loc[0, "model"]


def test_no_time_for_a_search() -> None:
    """Something is trained however short the time is, and the rest says why it is not."""
    frame, target = clicks(800)
    model = CTRClassifier(time_limit_s=0.001, embedding_dim=4).fit(frame, target)
    board = model.leaderboard()
    assert board["model"].tolist() == [*auto.BASELINES, "search"]
    assert board["note"].tolist()[1:] == ["not trained: no time left"] * 6 + ["not searched: no time left"]
    assert board["chosen"].tolist() == [True] + [False] * 7 and np.isfinite(board.loc[0, "valid_log_loss"])
    assert model.predict_proba(frame).shape == (800, 2)


@pytest.mark.parametrize("model", ["dlrm", "auto"])
def test_ctrl_c_ends_a_fit(monkeypatch, model) -> None:
    """Runs keep what is done, and give an interrupted result."""
    monkeypatch.setattr(runs, "train", lambda *args: SimpleNamespace(interrupted=True))
    with pytest.raises(KeyboardInterrupt):
        CTRClassifier(model).fit(*clicks(200))
