"""Curves on disk: whole lines as they come about, and after a break neither twice nor from the future."""

from __future__ import annotations

import csv
import errno
import importlib.util
import json
import os
from pathlib import Path

import pytest

from nasrec.errors import TrainError
from nasrec.metrics import Metrics
from nasrec.train import TrainConfig, train
from nasrec.train.journal import CSV, JSONL, Journal, TensorBoard
from nasrec.train.progress import Several, Silent
from nasrec.train.result import Evaluation, HistoryPoint
from nasrec.train.state import State
from nasrec.train.store import FolderStore

CONFIG = TrainConfig(epochs=2, batch_size=256, log_every=7, eval_every=10)


def lines_of(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / JSONL).read_text().splitlines()]


def without_rates(folder: Path) -> list[dict[str, object]]:
    return [{key: value for key, value in line.items() if key != "rows_per_s"} for line in lines_of(folder)]


class StopAt(Silent):
    """A process that dies after a number of points."""

    def __init__(self, points: int) -> None:
        self.left = points

    def recorded(self, point: HistoryPoint) -> None:
        self.left -= 1
        if self.left == 0:
            raise SystemExit


def test_files_say_what_the_result_says(small, make_lr, tmp_path) -> None:
    result = train(make_lr(small.schema), small.train, small.valid, CONFIG, Journal(tmp_path / "run"))
    found = lines_of(tmp_path / "run")
    points = [line for line in found if line["kind"] == "train"]
    evaluations = [line for line in found if line["kind"] == "valid"]
    assert [(line["step"], line["loss"], line["lr"]) for line in points] == [
        (point.step, point.loss, point.lr) for point in result.history
    ]
    assert [(line["step"], line["log_loss"], line["auc"]) for line in evaluations] == [
        (evaluation.step, evaluation.metrics.log_loss, evaluation.metrics.auc) for evaluation in result.evaluations
    ]
    steps = [line["step"] for line in found]
    assert steps == sorted(steps)
    with (tmp_path / "run" / CSV).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [{key: float(value) for key, value in row.items()} for row in rows] == [
        {key: value for key, value in line.items() if key != "kind"} for line in points
    ]


def test_after_a_break_no_line_is_lost_or_twice(small, make_lr, tmp_path) -> None:
    train(make_lr(small.schema), small.train, small.valid, CONFIG, Journal(tmp_path / "whole"))
    for points in (3, 2, 4):  # checkpoints are older than the lines: those after them are taken back
        receivers = Several(Journal(tmp_path / "broken"), StopAt(points))
        store = FolderStore(tmp_path / "broken" / "checkpoints", every=5)
        with pytest.raises(SystemExit):
            train(make_lr(small.schema), small.train, small.valid, CONFIG, receivers, store=store)
    with (tmp_path / "broken" / JSONL).open("a") as file:
        file.write('{"kind": "tra')
    train(make_lr(small.schema), small.train, small.valid, CONFIG, Journal(tmp_path / "broken"), store=store)
    assert without_rates(tmp_path / "broken") == without_rates(tmp_path / "whole")
    assert len((tmp_path / "broken" / CSV).read_text().splitlines()) == 1 + len(
        (tmp_path / "whole" / CSV).read_text().splitlines()[1:]
    )


def test_figures_that_json_has_no_word_for(tmp_path) -> None:
    journal = Journal(tmp_path)
    journal.begin(10, State())
    nan = float("nan")
    journal.evaluated(Evaluation(3, 1, Metrics(0.5, nan, nan, nan, 0.0, 4)), True)
    (line,) = lines_of(tmp_path)
    assert line["auc"] is None and line["log_loss"] == 0.5 and line["rows"] == 4


@pytest.mark.parametrize("short", [False, True])
def test_a_full_disk_is_one_line(small, make_lr, tmp_path, monkeypatch, short) -> None:
    journal = Journal(tmp_path)
    journal.begin(10, State())

    def full(descriptor: int, data: bytes) -> int:
        if short:
            return len(data) // 2
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(TrainError, match=r"metrics\.csv: cannot be written: no space left.*last checkpoint is kept"):
        train(make_lr(small.schema), small.train, None, CONFIG, journal)


def test_tensorboard_holds_the_same_curves(small, make_lr, tmp_path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    store = FolderStore(tmp_path / "checkpoints", every=5)
    receivers = Several(TensorBoard(tmp_path / "board"), StopAt(3))
    with pytest.raises(SystemExit):
        train(make_lr(small.schema), small.train, small.valid, CONFIG, receivers, store=store)
    result = train(
        make_lr(small.schema), small.train, small.valid, CONFIG, TensorBoard(tmp_path / "board"), store=store
    )
    board = EventAccumulator(str(tmp_path / "board")).Reload()
    assert [(event.step, event.value) for event in board.Scalars("train/loss")] == [
        (point.step, pytest.approx(point.loss, rel=1e-6)) for point in result.history
    ]
    assert [event.step for event in board.Scalars("valid/log_loss")] == [
        evaluation.step for evaluation in result.evaluations
    ]
    assert len(list((tmp_path / "board").iterdir())) == 1


def test_tensorboard_that_is_missing(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TrainError, match=r"need the package tensorboard; run: pip install 'nasrec\[tensorboard\]'"):
        TensorBoard(tmp_path / "board")
