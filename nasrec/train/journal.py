"""Curves of a run as files: CSV and JSONL always, TensorBoard's event files where they are asked for.

A line is written when its point is known. A run that goes on after a break starts from the curves of its checkpoint:
what was written after that is dropped, since the same steps are made again.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from nasrec.checks import format_path
from nasrec.errors import TrainError
from nasrec.extras import install_command
from nasrec.io.append import append
from nasrec.io.atomic import ensure_directory, write_text
from nasrec.train.progress import Silent
from nasrec.train.result import Evaluation, HistoryPoint

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

    from nasrec.train.state import State

__all__ = ["CSV", "JSONL", "Journal", "TensorBoard"]

CSV, JSONL = "metrics.csv", "metrics.jsonl"

_COLUMNS = tuple(field.name for field in fields(HistoryPoint))


class Journal(Silent):
    """`metrics.csv`, a line for each training point, and `metrics.jsonl`, which holds the evaluations too.

    Lines of the latter are objects with `kind` "train" (and the fields of `HistoryPoint`) or "valid" (`step`, `epoch`,
    and the fields of `Metrics`; NaN is null), in the order in which they came about.

    Args:
        path: the folder of both files; made if need be. Files of another run there are replaced.

    Raises:
        TrainError: they cannot be written; checkpoints are not touched by that.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = ensure_directory(path, TrainError)

    def begin(self, total_rows: int, state: State) -> None:
        write_text(self.path / CSV, "".join([_csv(_COLUMNS), *map(_csv_line, state.history)]), TrainError)
        write_text(self.path / JSONL, "".join(map(_json_line, _in_order(state))), TrainError)

    def recorded(self, point: HistoryPoint) -> None:
        self._append(CSV, _csv_line(point))
        self._append(JSONL, _json_line(point))

    def evaluated(self, evaluation: Evaluation, is_best: bool) -> None:
        self._append(JSONL, _json_line(evaluation))

    def _append(self, name: str, line: str) -> None:
        path = self.path / name
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                append(descriptor, line.encode(), durable=False)
            finally:
                os.close(descriptor)
        except OSError as failure:
            raise TrainError(
                f"{format_path(os.fspath(path))}: cannot be written: {(failure.strerror or str(failure)).lower()}; "
                "the last checkpoint is kept"
            ) from None


class TensorBoard(Silent):
    """The same curves as event files, for `tensorboard --logdir`; steps are the horizontal axis.

    Args:
        path: a folder for nothing but event files; those of an earlier part of the run are replaced.

    Raises:
        TrainError: the package tensorboard is missing, or the folder cannot be written to.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        if importlib.util.find_spec("tensorboard") is None:
            raise TrainError(f"TensorBoard's files need the package tensorboard; run: {install_command('tensorboard')}")
        self.path = ensure_directory(path, TrainError)
        self._writer: SummaryWriter | None = None

    def begin(self, total_rows: int, state: State) -> None:
        from torch.utils.tensorboard import SummaryWriter

        for old in self.path.glob("events.out.tfevents.*"):
            old.unlink(missing_ok=True)
        self._writer = SummaryWriter(os.fspath(self.path))
        for entry in _in_order(state):
            self._add(entry)

    def recorded(self, point: HistoryPoint) -> None:
        self._add(point)

    def evaluated(self, evaluation: Evaluation, is_best: bool) -> None:
        self._add(evaluation)
        if self._writer is not None:
            self._writer.flush()

    def end(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _add(self, entry: HistoryPoint | Evaluation) -> None:
        if self._writer is None:
            return
        values = _values(entry)
        for name, value in values.items():
            if name not in ("kind", "step", "epoch", "rows") and value is not None:
                self._writer.add_scalar(f"{values['kind']}/{name}", value, entry.step)


def _in_order(state: State) -> Iterator[HistoryPoint | Evaluation]:
    """Points and evaluations as they came about: of one step the point comes first."""
    entries: Iterable[HistoryPoint | Evaluation] = (*state.history, *state.evaluations)
    yield from sorted(entries, key=lambda entry: (entry.step, isinstance(entry, Evaluation)))


def _values(entry: HistoryPoint | Evaluation) -> dict[str, Any]:
    if isinstance(entry, HistoryPoint):
        values = {"kind": "train", **asdict(entry)}
    else:
        values = {"kind": "valid", "step": entry.step, "epoch": entry.epoch, **entry.metrics.to_dict()}
    return {name: None if isinstance(x, float) and not math.isfinite(x) else x for name, x in values.items()}


def _json_line(entry: HistoryPoint | Evaluation) -> str:
    return json.dumps(_values(entry), allow_nan=False) + "\n"


def _csv_line(point: HistoryPoint) -> str:
    return _csv(asdict(point).values())


def _csv(values: Iterable[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()
