"""New rows of a DataFrame as the inputs of a model that was trained on a prepared folder.

encoder = Encoder.of("prepared")            # its columns, vocabularies and transform of numbers
dense, sparse = encoder.encode(frame)       # what preparation would have made of these rows, bit for bit
encoder.save("model")
encoder = Encoder.load("model")             # needs no data folder
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nasrec.data import encoder_file
from nasrec.data.bad_rows import is_hour
from nasrec.data.blocks import squash
from nasrec.data.convert import Converter
from nasrec.data.formats import FORMATS, MISSING_TEXTS, Format
from nasrec.data.frame_table import frame_table
from nasrec.data.infer import check_frame
from nasrec.data.parse import bad_values, numbers_of, suspects
from nasrec.data.prepared import open_folder
from nasrec.data.schema import Schema
from nasrec.data.vocabulary import MISSING, Vocabulary
from nasrec.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from nasrec.features import FeatureSpec

__all__ = ["Encoder"]

Inputs = tuple[NDArray[np.float32], NDArray[np.int64]]

_TOGETHER = 1 << 18
"""Rows worked on at a time."""


@dataclass(frozen=True, eq=False)
class Encoder:
    """From columns by name to a model's inputs.

    Attributes:
        schema: names of the inputs, and the number of ids of each categorical one.
        vocabularies: of each categorical column; none where the rows were synthetic, whose values are ids already.
        transform: of numbers, see `nasrec.data.blocks.squash`.
        missing: texts that stand for a missing value.
        dataset: what was prepared. Avazu's `hour` becomes hour of day and day of week here too.
    """

    schema: Schema
    vocabularies: tuple[Vocabulary, ...]
    transform: str
    missing: tuple[str, ...] = MISSING_TEXTS
    dataset: str = "table"

    @classmethod
    def of(cls, folder: str | os.PathLike[str]) -> Encoder:
        """That of a prepared folder. Raises `DataError` if there is none, or it is damaged."""
        prepared = open_folder(folder)
        manifest = prepared.manifest
        return cls(
            manifest.schema,
            prepared.vocabularies(),
            manifest.options.get("dense", "signed-log"),
            tuple(manifest.options.get("missing", MISSING_TEXTS)),
            manifest.dataset,
        )

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Encoder:
        """Reads what `save` wrote; no code runs. Raises `DataError` if it is missing, damaged or of another version."""
        return cls(*encoder_file.read(Path(folder)))

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes encoder.json and vocabulary/ into a folder, which is made if need be. Raises `DataError`."""
        encoder_file.write(Path(folder), self.schema, self.vocabularies, self.transform, self.missing, self.dataset)

    def features(self, embedding_dim: int = 16) -> FeatureSpec:
        """What a model for these columns is compiled for; `embedding_dim` channels for each table."""
        return self.schema.features(embedding_dim)

    def encode(self, frame: pd.DataFrame) -> Inputs:
        """Dense float32 [B, num_dense] and sparse int64 [B, num_sparse] of B rows, in order.

        A category without an id of its own gets that of unknown ones, 1; a missing one is 0, and so is a missing
        number.

        Args:
            frame: the columns of the schema in any order; others are ignored. It is not changed.

        Raises:
            DataError: this is no frame or an empty one, a column is missing or of the wrong kind, or a number is not
                finite.
        """
        form = self._form(check_frame(frame))
        starts = range(0, len(frame), _TOGETHER)
        parts = [self._encode(frame.iloc[start : start + _TOGETHER], form, start) for start in starts]
        return np.concatenate([dense for dense, _ in parts]), np.concatenate([sparse for _, sparse in parts])

    def _form(self, columns: Sequence[str]) -> Format:
        """The format of a frame with these columns. A model's inputs know no label, which a format must have: its name
        here is one that no column has."""
        label = "label"
        while label in columns or label in (*self.schema.dense_names, *self.schema.sparse_names):
            label += "_"
        if self.dataset == "avazu" and not {"hour_of_day", "weekday"} <= set(columns):
            return replace(FORMATS["avazu"], label=label, missing=self.missing)
        schema = self.schema
        return Format(
            "table", "DataFrame", ",", True, label, schema.dense_names, schema.sparse_names, missing=self.missing,
            exact=False,
        )  # fmt: skip

    def _encode(self, frame: pd.DataFrame, form: Format, first: int) -> Inputs:
        texts = form.sparse if self.vocabularies else ()
        numbers = (*form.dense, *(() if self.vocabularies else form.sparse))
        table = frame_table(frame, numbers, texts, self.missing)
        table = table.append_column(form.label, pa.array(np.zeros(len(frame))))
        if len(rows := suspects(table, form)):
            raise DataError(f"row {first + rows[0]}: {bad_values(table, rows[:1], 0, form)[0].reason}")
        if not self.vocabularies:
            return _raw_numbers(table, form, self.transform), self._given_ids(table, first)
        if form.kind == "avazu":
            _check_hours(table)
        block = Converter(form, self.transform)(table)
        sparse = np.empty((len(block), self.schema.num_sparse), dtype=np.int64)
        for j, (column, vocabulary) in enumerate(zip(block.categories, self.vocabularies, strict=True)):
            sparse[:, j] = np.append(np.int32(MISSING), vocabulary.ids(column.words))[column.codes]
        return block.dense, sparse

    def _given_ids(self, table: Any, first: int) -> NDArray[np.int64]:
        """Ids of columns whose values are ids."""
        sparse = np.empty((table.num_rows, self.schema.num_sparse), dtype=np.int64)
        for j, (name, rows) in enumerate(zip(self.schema.sparse_names, self.schema.cardinalities, strict=True)):
            values = np.nan_to_num(numbers_of(table.column(name)), nan=MISSING)
            wrong = np.flatnonzero(~((values >= 0) & (values < rows) & (values % 1 == 0)))
            if len(wrong):
                raise DataError(
                    f"row {first + wrong[0]}: column {name!r} is {values[wrong[0]]:g}; its values are ids from 0 to "
                    f"{rows - 1}, for the model was trained on synthetic rows"
                )
            sparse[:, j] = values
        return sparse


def _raw_numbers(table: Any, form: Format, transform: str) -> NDArray[np.float32]:
    raw = [numbers_of(table.column(name)) for name in form.dense]
    return squash(np.stack(raw, axis=1) if raw else np.zeros((table.num_rows, 0)), transform)


def _check_hours(table: Any) -> None:
    for text in table.column("hour").unique().to_pylist():
        if text is not None and not is_hour(text):
            raise DataError(f"column 'hour' is {text[:40]!r}; expected YYMMDDHH, such as 14102100")
