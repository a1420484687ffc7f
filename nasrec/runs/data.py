"""The rows of a run: a prepared folder, raw click logs, a synthetic log by name, a DataFrame, or splits in memory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

from nasrec.checks import format_path, format_value
from nasrec.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from nasrec.data import Log, Splits
    from nasrec.metrics import Metrics

__all__ = ["SETTINGS", "DataLike", "DataSource", "RunData", "load_data", "source_of"]

SYNTHETIC = "synth:"
SYNTHETIC_ROWS = 200_000
SAMPLE = "criteo_sample.tsv.gz"
"""Taken where a folder holds logs of several kinds: small, and of the data set that most published models are for."""

FRAME_FOLDER = "data"
"""Where in a run's folder a DataFrame lies prepared."""

_FIELDS = {name: name for name in ("data", "rows", "kind", "split", "min_count")} | {"seed": "rows_seed"}

SETTINGS = tuple(_FIELDS.values())
"""That name rows, in the order of the fields of `DataSource`."""

DataLike: TypeAlias = Union["str", "os.PathLike[str]", "DataSource", "RunData", "Splits[Log]", "pd.DataFrame"]
"""What names rows, see `source_of`."""


@dataclass(frozen=True)
class RunData:
    """Rows to train, validate and test on.

    Attributes:
        splits: the three parts.
        source: where they come from, in words.
        teacher_score: the teacher's own score on the test rows of a synthetic log; None for real ones.
        path: of the folder or file, absolute; None for rows that lie in memory, or are made.
    """

    splits: Splits[Log]
    source: str
    teacher_score: Metrics | None = None
    path: str | None = None

    def describe(self) -> str:
        """One line: source, rows, columns, click rate."""
        train, valid, test = self.splits
        schema = train.schema
        return (
            f"{self.source}: {len(train):,} rows to train, {len(valid):,} to validate, {len(test):,} to test; "
            f"{schema.num_dense} dense and {schema.num_sparse} categorical columns, {train.click_rate:.1%} clicks"
        )

    @property
    def sha256(self) -> dict[str, str]:
        """A checksum of each part."""
        return {part: getattr(self.splits, part).sha256 for part in ("train", "valid", "test")}

    def summary(self) -> dict[str, Any]:
        """The same for a report, with checksums of the prepared rows."""
        train, valid, test = self.splits
        return {
            "source": self.source,
            "path": self.path,
            "rows": {"train": len(train), "valid": len(valid), "test": len(test)},
            "click_rate": {"train": train.click_rate, "valid": valid.click_rate, "test": test.click_rate},
            "sha256": self.sha256,
        }


@dataclass(frozen=True)
class DataSource:
    """Rows by name, so that another process can read the same ones.

    Attributes:
        data: a folder that `nasrec.data.prepare` made, a raw click log or a folder that holds one (read into memory),
            or a synthetic log such as "synth:criteo".
        rows: only so many are read or made; a synthetic log has 200,000 by default.
        kind: of a raw log, "criteo", "avazu" or "frappe", where the content leaves a doubt.
        split: of a raw or synthetic log: "random" (default), "time" (file order), "given" (three files).
        min_count: of a raw log: rarer categories share one id.
        seed: of a synthetic log; None: that of the training.
    """

    data: str
    rows: int | None = None
    kind: str | None = None
    split: str | None = None
    min_count: int | None = None
    seed: int | None = None

    def load(self, *, seed: int = 0, most_rows: int | None = None) -> RunData:
        """Reads or makes the rows.

        Args:
            seed: of a synthetic log that has none of its own.
            most_rows: no more are read of a file where `rows` does not say how many.

        Raises:
            DataError: there are no such rows, or they are malformed.
        """
        if self.data.startswith(SYNTHETIC):
            return self._synthetic(self.data.removeprefix(SYNTHETIC), seed if self.seed is None else self.seed)
        from nasrec.data import is_prepared, load_logs

        if is_prepared(self.data):
            return self._prepared()
        splits = load_logs(
            _chosen(self.data), self.kind, max_rows=self.rows or most_rows, split=self.split, min_count=self.min_count
        )
        return RunData(splits, splits.train.source, path=os.path.abspath(self.data))

    def settings(self) -> dict[str, Any]:
        """What is given, by the names of settings."""
        return {_FIELDS[name]: value for name, value in asdict(self).items() if value is not None}

    def with_seed(self, seed: int) -> DataSource:
        """The same rows whatever a later run's seed is; only synthetic logs have one."""
        synthetic = self.data.startswith(SYNTHETIC) and self.seed is None
        return replace(self, seed=seed) if synthetic else self

    def _prepared(self) -> RunData:
        import nasrec.data

        given = [name for name in ("rows", "kind", "split", "min_count") if getattr(self, name) is not None]
        if given:
            names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            raise DataError(f"{self.data}: is prepared; {names} belong to its preparation: leave them out")
        prepared = nasrec.data.open(self.data)
        return RunData(prepared.splits(), f"{prepared.manifest.title} ({self.data})", path=os.path.abspath(self.data))

    def _synthetic(self, kind: str, seed: int) -> RunData:
        from nasrec.data import synthesize, teacher_score

        if self.kind is not None or self.min_count is not None or self.split == "given":
            raise DataError("a synthetic log takes no --kind, no --min-count and no --split given; leave them out")
        log = synthesize(kind, self.rows or SYNTHETIC_ROWS, seed).log
        splits = log.split(by=self.split or "random")
        return RunData(splits, log.source, teacher_score(splits.test))


def source_of(data: DataLike, out: Path | None = None, *, label: str = "label") -> DataSource | RunData:
    """What a run's `data` argument means.

    Args:
        data: a path or name; a `DataSource`; a DataFrame, whose column `label` says what was clicked; or splits.
        out: the run's folder, in which a DataFrame is prepared, so that later runs find the same rows there.
        label: name of a DataFrame's label column.

    Raises:
        DataError: it is nothing of the kind, or a DataFrame cannot be prepared.
    """
    from nasrec.data import Splits

    if isinstance(data, (DataSource, RunData)):
        return data
    if isinstance(data, (str, os.PathLike)):
        return DataSource(os.fspath(data))
    if isinstance(data, Splits):
        return RunData(data, data.train.source)
    if _is_frame(data):
        if out is None:
            raise DataError("a DataFrame needs a folder to be prepared in; give out=")
        from nasrec.data.frame import prepare_frame

        target = out / FRAME_FOLDER
        prepare_frame(data, label, target)
        return DataSource(os.fspath(target))
    raise DataError(
        f"data must be a folder, a file, a name such as 'synth:criteo', a DataFrame or splits, not {format_value(data)}"
    )


def load_data(data: DataLike, out: Path | None = None, *, seed: int = 0, most_rows: int | None = None) -> RunData:
    """The rows that a `data` argument names, see `source_of`. Raises `DataError`."""
    found = source_of(data, out)
    return found if isinstance(found, RunData) else found.load(seed=seed, most_rows=most_rows)


def from_settings(values: Mapping[str, Any]) -> DataSource | None:
    """The source that settings name, if they name one."""
    given = {name: values[key] for name, key in _FIELDS.items() if values.get(key) is not None}
    return DataSource(**given) if "data" in given else None


def from_environment() -> str:
    """What is read where nothing is named: the rows that NASREC_DATA points to, else a synthetic log."""
    return os.environ.get("NASREC_DATA") or f"{SYNTHETIC}criteo"


def _is_frame(data: object) -> bool:
    """Without importing pandas where nothing is a DataFrame."""
    return any(
        kind.__module__.partition(".")[0] == "pandas" and kind.__name__ == "DataFrame" for kind in type(data).__mro__
    )


def _chosen(text: str) -> Path:
    path = Path(text)
    if not path.exists():
        raise DataError(
            f"{format_path(text)}: no such file or folder; name a click log, or a synthetic one such as synth:criteo"
        )
    sample = path / SAMPLE
    return sample if path.is_dir() and sample.is_file() else path
