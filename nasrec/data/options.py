"""How raw logs are prepared. The defaults are the protocol of AutoCTR and NASRec where these agree."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from nasrec.checks import format_value, integer
from nasrec.data.convert import IMPRESSIONS
from nasrec.data.splits import SPLIT_ORDERS, check_fractions
from nasrec.data.vocabulary import FIRST
from nasrec.errors import DataError

__all__ = ["DENSE", "SEARCH_ROWS", "VOCABULARY_FROM", "Options"]

DENSE = ("signed-log", "clamped-log", "none")
VOCABULARY_FROM = ("train", "all")
SEARCH_ROWS = 500_000
"""Largest table during search (NASRec, section 5.1); the final training uses full tables."""


@dataclass(frozen=True)
class Options:
    """Settings of a preparation. Raises `DataError` naming the field on a value out of range.

    Attributes:
        split: "random" (stratified by label, drawn by `seed`), "time" (in file order) or "given" (three files, in the
            order train, valid, test); None = given where a folder holds the three, else random.
        fractions: of train, valid and test; not for a given split.
        dense: "signed-log", "clamped-log" or "none", see `nasrec.data.blocks.squash`.
        min_count: rarer texts share one id; None = the data set's own default (Criteo 10, Avazu and KDD 2, else 1).
        max_table_rows: rows of a table at the most, the ids of missing and unknown texts included; the most frequent
            texts stay. None = full tables.
        vocabulary_from: "train" rows only, or "all" rows, which lets test rows have a say in the ids.
        max_rows: read no more rows than these of each file.
        max_bad_rows: rows that cannot be read are left out and counted; more than so many end the work. None = any
            number, 0 = the first one.
        impressions: KDD Cup 2012 alone, see `nasrec.data.convert.Converter`. A row for each view by default: it gives
            the contest's own scores (AUC and log loss over impressions) in every training loop, whether it knows
            weights or not, at 1.6 times the rows.
        block_bytes: text that is worked on at a time; memory and the size of files follow it.
    """

    split: str | None = None
    fractions: tuple[float, ...] = (0.8, 0.1, 0.1)
    seed: int = 2018
    dense: str = "signed-log"
    min_count: int | None = None
    max_table_rows: int | None = SEARCH_ROWS
    vocabulary_from: str = "train"
    max_rows: int | None = None
    max_bad_rows: int | None = 1000
    impressions: str = "expand"
    block_bytes: int = 1 << 25

    def __post_init__(self) -> None:
        _one_of("split", self.split, (None, "given", *SPLIT_ORDERS))
        _one_of("dense", self.dense, DENSE)
        _one_of("vocabulary_from", self.vocabulary_from, VOCABULARY_FROM)
        _one_of("impressions", self.impressions, IMPRESSIONS)
        object.__setattr__(self, "fractions", check_fractions(self.fractions))
        _at_least("seed", self.seed, 0, optional=False)
        _at_least("min_count", self.min_count, 1)
        _at_least("max_table_rows", self.max_table_rows, FIRST + 1)
        _at_least("max_rows", self.max_rows, 1)
        _at_least("max_bad_rows", self.max_bad_rows, 0)
        _at_least("block_bytes", self.block_bytes, 1, optional=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self) | {"fractions": list(self.fractions)}


def _one_of(name: str, value: object, allowed: tuple[str | None, ...]) -> None:
    if value not in allowed:
        known = ", ".join(str(item) for item in allowed)
        raise DataError(f"{name} {format_value(value)} is unknown; use one of {known}")


def _at_least(name: str, value: object, least: int, *, optional: bool = True) -> None:
    number = integer(value)
    if not (optional and value is None) and (number is None or number < least):
        raise DataError(f"{name} must be a whole number of at least {least}, got {format_value(value)}")
