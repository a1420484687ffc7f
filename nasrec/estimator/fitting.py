"""What `CTRClassifier.fit` does: rows are split and prepared, models trained, one of them chosen."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasrec import runs
from nasrec.checks import format_value, integer, number
from nasrec.data.encode import Encoder
from nasrec.data.frame import prepare_frame
from nasrec.data.infer import Columns, find_columns, warn_left_out
from nasrec.data.options import Options
from nasrec.errors import EstimatorError
from nasrec.estimator import auto
from nasrec.estimator.fitted import CONSTANT, FittedModel
from nasrec.estimator.inputs import Features, Target, require_two_classes
from nasrec.estimator.saved import plain_params
from nasrec.estimator.trainer import Candidate, Clock, Trainer, training_options
from nasrec.io.atomic import ensure_directory
from nasrec.runs.model import architecture_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["AUTO", "Fit", "fit"]

AUTO = "auto"
_AUTO_S = 600.0
"""What "auto" takes where no limit is given."""

_NO_PART_OF_A_RUN = ("time_limit_s", "folder", "verbose")


@dataclass(frozen=True)
class Fit:
    """What came of it.

    Attributes:
        scratch: holds a temporary folder; None where a folder was given.
    """

    model: FittedModel
    columns: Columns
    candidates: tuple[Candidate, ...]
    chosen: int
    folder: Path
    scratch: Scratch | None


class Scratch:
    """A temporary folder that goes when this object does, and not with a forked process."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="nasrec-"))
        weakref.finalize(self, _remove, self.path, os.getpid())


def _remove(path: Path, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(path, ignore_errors=True)


def fit(params: Mapping[str, Any], features: Features, target: Target, weights: NDArray[np.float64] | None) -> Fit:
    """Trains as the parameters of a `CTRClassifier` say.

    Raises:
        EstimatorError: parameters are out of range, or there are too few rows of a class.
        DataError: columns cannot be used.
    """
    limit_s = params["time_limit_s"]
    if limit_s is not None and not (number(limit_s) or 0) > 0:
        raise EstimatorError(f"time_limit_s must be a positive number or None, not {format_value(limit_s)}")
    chooses = isinstance(params["model"], str) and params["model"] == AUTO
    clock = Clock(_AUTO_S if chooses and limit_s is None else limit_s)
    kept = np.arange(len(features.frame)) if weights is None else np.flatnonzero(weights > 0)
    require_two_classes(target, target.codes[kept])
    seed = _seed(params["random_state"])
    train, valid = _split(target.codes, kept, params["valid_fraction"], seed)
    columns, frame = _columns(features, target, weights, params)
    warn_left_out(columns, depth=2)
    scratch = Scratch() if params["folder"] is None else None
    root = scratch.path if scratch is not None else Path(params["folder"])
    place = _prepared(frame.iloc[train], frame.iloc[valid], columns, params, root)
    names = ("embedding_dim", "epochs", "batch_size", "lr", "optimizer", "seeds", "device")
    given = {name: value.item() if isinstance(value := params[name], np.generic) else value for name in names}
    options = training_options(len(train), seed=seed, **given)
    trainer = Trainer(place / "data", len(train), len(valid), place / "runs", options, bool(params["verbose"]))
    model = params["model"]
    found = auto.candidates(trainer, clock) if chooses else [
        trainer.train_within(clock, model, architecture_of(model).name, "model", always=True)
    ]  # fmt: skip
    best = auto.best_of(found)
    assert best.folder is not None  # as of all that were trained
    run = runs.load(best.folder)
    assert isinstance(run, runs.TrainRun)
    fitted = FittedModel.of(best.name, run.model(), Encoder.of(place / "data"))
    return Fit(fitted, columns, tuple(found), found.index(best), place, scratch)


def _columns(
    features: Features, target: Target, weights: NDArray[np.float64] | None, params: Mapping[str, Any]
) -> tuple[Columns, pd.DataFrame]:
    """Kinds of the columns, and the frame with label, weight and, where no other column is categorical, a constant."""
    label, weight = _free_name("label", features.names), _free_name("weight", features.names)
    frame = features.frame.assign(**{label: target.codes})
    if weights is not None:
        frame = frame.assign(**{weight: weights})
    dense, categorical = (_named(params[kind], kind, features) for kind in ("dense", "categorical"))
    columns = find_columns(frame, label, dense, categorical, (), None if weights is None else weight)
    for name in columns.dense:
        _require_finite(frame[name])
    if not columns.categorical:
        frame = frame.assign(**{CONSTANT: CONSTANT})
        columns = replace(columns, categorical=(CONSTANT,))
    return columns, frame


def _require_finite(column: pd.Series[Any]) -> None:
    from pandas.api import types

    if types.is_float_dtype(column.dtype):
        wrong = np.flatnonzero(np.isinf(column.to_numpy(np.float64, na_value=np.nan)))
        if len(wrong):
            raise EstimatorError(
                f"column {column.name!r} of X is infinite in row {wrong[0]}; replace it, or leave a gap"
            )


def _named(columns: Sequence[str | int] | None, kind: str, features: Features) -> list[str] | None:
    """Columns by name; those of an array may be numbered."""
    if columns is None:
        return None
    if isinstance(columns, str) or not isinstance(columns, Sequence):
        raise EstimatorError(f"{kind} must be a list of columns, not {format_value(columns)}")
    found = []
    for column in columns:
        place = integer(column)
        if place is not None and not features.named:
            if not -len(features.names) <= place < len(features.names):
                raise EstimatorError(f"{kind} names column {place}, X has {len(features.names)}")
            column = features.names[place]
        found.append(str(column))
    return found


def _free_name(name: str, taken: Sequence[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _seed(random_state: Any) -> int:
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0] >> 1)
    if isinstance(random_state, (np.random.RandomState, np.random.Generator)):
        draw = random_state.randint if isinstance(random_state, np.random.RandomState) else random_state.integers
        return int(draw(0, 2**31 - 1))
    seed = integer(random_state)
    if seed is None or not 0 <= seed < 2**32:
        raise EstimatorError(
            f"random_state must be None, a whole number from 0 to 2^32 - 1 or a NumPy generator, not "
            f"{format_value(random_state)}"
        )
    return seed


def _split(
    codes: NDArray[np.int64], rows: NDArray[np.int64], fraction: Any, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows to train and to validate on, each ascending, the same share of each class, and at least one row of it."""
    share = number(fraction)
    if share is None or not 0 < share < 1:
        raise EstimatorError(f"valid_fraction must lie between 0 and 1, not {format_value(fraction)}")
    rng = np.random.default_rng(seed)
    valid = []
    for code in (0, 1):
        own = rng.permutation(rows[codes[rows] == code])
        valid.append(own[: min(max(1, round(share * len(own))), len(own) - 1)])
    chosen = np.sort(np.concatenate(valid))
    return np.setdiff1d(rows, chosen), chosen


def _prepared(
    train: pd.DataFrame, valid: pd.DataFrame, columns: Columns, params: Mapping[str, Any], root: Path
) -> Path:
    """A folder below `root` for these rows and parameters alone, with the prepared rows in `data`: the same fit goes on
    there."""
    ensure_directory(root, EstimatorError)
    with tempfile.TemporaryDirectory(prefix=".preparing-", dir=root) as scratch:
        made = Path(scratch) / "data"
        # A prepared folder has test rows; here the caller keeps those to himself.
        manifest = prepare_frame(
            train, columns.label, made, dense=columns.dense, categorical=columns.categorical, weight=columns.weight,
            valid=valid, test=valid, options=Options(max_bad_rows=0), name="X",
        )  # fmt: skip
        plain = {name: value for name, value in plain_params(params).items() if name not in _NO_PART_OF_A_RUN}
        text = json.dumps([plain, manifest.checksum], sort_keys=True)
        place = root / f"fit-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        if not (place / "data").exists():
            place.mkdir(exist_ok=True)
            made.replace(place / "data")
    return place
