"""From a file's columns to a model's: what each data set does beyond taking numbers and texts as they are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasrec.data.blocks import Block, Category, category, squash
from nasrec.data.formats import Format
from nasrec.data.parse import numbers_of
from nasrec.data.users import Users
from nasrec.errors import DataError

__all__ = ["IMPRESSIONS", "Converter"]

IMPRESSIONS = ("expand", "weight", "line")
_MOST_IMPRESSIONS = 1 << 20
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True)
class Converter:
    """Turns an Arrow table of a format's columns into a block.

    Avazu's `hour` (YYMMDDHH) becomes hour of day and day of week: the date itself never comes back in new data.
    KDD Cup 2012 gets gender and age of the user from `users`; a line, which sums up `impression` views with `click`
    clicks, becomes (`impressions`): "expand", one row a view; "weight", a row with the clicks and one with the other
    views as weights; "line", one row, a click if there was any.

    Attributes:
        transform: of dense values, see `nasrec.data.blocks.squash`.
        users: user profiles; None = gender and age are missing.
    """

    form: Format
    transform: str = "signed-log"
    impressions: str = "expand"
    users: Users | None = None

    @property
    def sparse_names(self) -> tuple[str, ...]:
        """The categorical columns of the blocks."""
        if self.form.kind == "avazu":
            return ("hour_of_day", "weekday", *(name for name in self.form.sparse if name != "hour"))
        return (*self.form.sparse, "gender", "age") if self.form.kind == "kdd" else self.form.sparse

    @property
    def has_weights(self) -> bool:
        return self.form.weight is not None or (self.form.kind == "kdd" and self.impressions == "weight")

    def __call__(self, table: Any) -> Block:
        form = self.form
        raw = [numbers_of(table.column(name)) for name in form.dense]
        dense = np.stack(raw, axis=1) if raw else np.zeros((table.num_rows, 0))
        columns = {name: category(table.column(name)) for name in form.sparse}
        label = numbers_of(table.column(form.label))
        weight = numbers_of(table.column(form.weight)).astype(np.float32) if form.weight else None
        if form.kind == "avazu":
            columns |= _clock(columns["hour"])
        if form.kind == "kdd":
            columns |= _profile(columns["user_id"], self.users)
        block = Block(
            np.minimum(label, 1).astype(np.uint8),
            squash(dense, self.transform),
            tuple(columns[name] for name in self.sparse_names),
            weight,
        )
        return _views(block, label, raw[0], self.impressions) if form.kind == "kdd" else block


def _clock(hours: Category) -> dict[str, Category]:
    times = [datetime.strptime(text, "%y%m%d%H") for text in hours.words.to_pylist()]
    return {
        "hour_of_day": hours.renamed([f"{time.hour:02d}" for time in times]),
        "weekday": hours.renamed([_WEEKDAYS[time.weekday()] for time in times]),
    }


def _profile(user: Category, users: Users | None) -> dict[str, Category]:
    gender, age = ([None] * len(user.words),) * 2 if users is None else users.profiles(user.words)
    return {"gender": user.renamed(gender), "age": user.renamed(age)}


def _views(block: Block, clicks: NDArray[np.float64], views: NDArray[np.float64], how: str) -> Block:
    """The rows of a block whose row i sums up `views[i]` impressions with `clicks[i]` clicks."""
    if how == "line":
        return block
    clicked, passed = clicks.astype(np.int64), (views - clicks).astype(np.int64)
    place = np.arange(len(block))
    # Each line's clicks come before its other views.
    rows, label = np.repeat(place, 2), np.tile(np.array([1, 0], dtype=np.uint8), len(block))
    times = np.stack([clicked, passed], axis=1).reshape(-1)
    if how == "weight":
        kept = times > 0
        taken = block.take(rows[kept])
        return Block(label[kept], taken.dense, taken.categories, times[kept].astype(np.float32))
    if len(times) and times.max() > _MOST_IMPRESSIONS:
        raise DataError(
            f"a line sums up {int(views.max()):,} impressions, more than {_MOST_IMPRESSIONS:,}; use weights instead of "
            "a row for each (--impressions weight)"
        )
    taken = block.take(np.repeat(rows, times))
    return Block(np.repeat(label, times), taken.dense, taken.categories)
