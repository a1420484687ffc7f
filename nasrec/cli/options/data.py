"""The --data option of commands that train: a prepared folder, raw click logs by path, a synthetic twin by name."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec.checks import format_path
from nasrec.cli.usage import number
from nasrec.errors import DataError

if TYPE_CHECKING:
    from nasrec.data import Log, Splits
    from nasrec.train import Metrics

__all__ = ["Rows", "add_options", "from_environment", "load"]

TWIN = "synth:"
TWIN_ROWS = 200_000
SAMPLE = "criteo_sample.tsv.gz"
"""Taken where a folder holds logs of several kinds: small, and of the data set that most published models are for."""


@dataclass(frozen=True)
class Rows:
    """Rows to train, validate and test on.

    Attributes:
        splits: the three parts.
        source: where they come from, in words.
        ceiling: the teacher's own score on the test rows of a synthetic twin; None for real ones.
    """

    splits: Splits[Log]
    source: str
    teacher_score: Metrics | None

    def describe(self) -> str:
        """One line: source, rows, columns, click rate."""
        train, valid, test = self.splits
        schema = train.schema
        return (
            f"{self.source}: {len(train):,} rows to train, {len(valid):,} to validate, {len(test):,} to test; "
            f"{schema.num_dense} dense and {schema.num_sparse} categorical columns, {train.click_rate:.1%} clicks"
        )

    def summary(self) -> dict[str, Any]:
        """The same for a report, with a checksum of the prepared rows."""
        train, valid, test = self.splits
        return {
            "source": self.source,
            "rows": {"train": len(train), "valid": len(valid), "test": len(test)},
            "click_rate": {"train": train.click_rate, "valid": valid.click_rate, "test": test.click_rate},
            "sha256": {"train": train.sha256, "valid": valid.sha256, "test": test.sha256},
        }


def add_options(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Adds --data, --rows, --kind, --split and --min-count."""
    group = parser.add_argument_group("rows")
    group.add_argument(
        "--data",
        metavar="PATH",
        required=required,
        help="a folder made by 'nasrec data prepare' or 'synth', or what fits into memory: a raw click log (Criteo "
        "train.txt, Avazu train.csv, Frappe; plain or packed), a folder that holds one, or a synthetic twin: "
        "synth:criteo, synth:avazu, synth:kdd, synth:frappe",
    )
    group.add_argument(
        "--rows", type=number(1), metavar="N", help=f"read or make only N rows (a twin has {TWIN_ROWS:,} by default)"
    )
    group.add_argument("--kind", metavar="KIND", help="criteo, avazu or frappe, where the content leaves a doubt")
    group.add_argument(
        "--split",
        metavar="HOW",
        help="random (default), time (file order) or given (three files); parts are 80, 10 and 10 per cent",
    )
    group.add_argument("--min-count", type=number(1), metavar="N", help="rarer categories share one id")


def load(args: argparse.Namespace, *, seed: int, most_rows: int | None = None) -> Rows:
    """Reads or makes the rows that the options name.

    Args:
        args: parsed options of `add_options`.
        seed: of a synthetic twin.
        most_rows: no more are read of a file where --rows does not say how many.

    Raises:
        DataError: there are no such rows, or they are malformed.
    """
    text = str(args.data)
    if text.startswith(TWIN):
        return _twin(text.removeprefix(TWIN), args, seed, args.rows or TWIN_ROWS)
    from nasrec.data import is_prepared, load_logs

    if is_prepared(text):
        return _prepared(text, args)
    splits = load_logs(
        _choose(text), args.kind, max_rows=args.rows or most_rows, split=args.split, min_count=args.min_count
    )
    return Rows(splits, splits.train.source, None)


def _prepared(folder: str, args: argparse.Namespace) -> Rows:
    import nasrec.data

    given = [option for option in ("rows", "kind", "split", "min_count") if getattr(args, option) is not None]
    if given:
        names = ", ".join(f"--{option.replace('_', '-')}" for option in given)
        raise DataError(f"{folder}: is prepared; {names} belong to its preparation: leave them out")
    prepared = nasrec.data.open(folder)
    return Rows(prepared.splits(), f"{prepared.manifest.title} ({folder})", None)


def _twin(kind: str, args: argparse.Namespace, seed: int, rows: int) -> Rows:
    from nasrec.data import synthesize, teacher_score

    if args.kind is not None or args.min_count is not None or args.split == "given":
        raise DataError("a synthetic twin takes no --kind, no --min-count and no --split given; leave them out")
    twin = synthesize(kind, rows, seed)
    splits = twin.log.split(by=args.split or "random")
    return Rows(splits, twin.log.source, teacher_score(splits.test))


def _choose(text: str) -> Path:
    path = Path(text)
    if not path.exists():
        raise DataError(
            f"{format_path(text)}: no such file or folder; name a click log, or a twin such as synth:criteo"
        )
    sample = path / SAMPLE
    return sample if path.is_dir() and sample.is_file() else path


def from_environment() -> str:
    """What --data is where it is not given: the rows that NASREC_DATA points to, else the Criteo twin."""
    return os.environ.get("NASREC_DATA") or f"{TWIN}criteo"
