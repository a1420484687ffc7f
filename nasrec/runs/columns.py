"""What is said of the columns of a model's data, where that need not be everything: options, files, folders of rows."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from nasrec.errors import FeatureError
from nasrec.features import FeatureSpec
from nasrec.io.json import read_json
from nasrec.lowering.graphs import table_rows
from nasrec.runs.data import SYNTHETIC, DataLike, load_data
from nasrec.runs.options import CHANNELS
from nasrec_ir import Graph

__all__ = ["DEFAULT_ROWS", "Columns", "columns_of"]

DEFAULT_ROWS = 1000
"""Of a table, where nothing says how many."""


@dataclass(frozen=True)
class Columns:
    """A `FeatureSpec` of which some may not be known: that is None.

    Attributes:
        num_dense: numeric columns.
        num_sparse: categorical columns.
        cardinalities: rows of the embedding tables, one number for all or one each.
        embedding_dim: channels of an embedding.
        whole: everything but the channels, where that is known.
    """

    num_dense: int | None = None
    num_sparse: int | None = None
    cardinalities: tuple[int, ...] | None = None
    embedding_dim: int | None = None
    whole: FeatureSpec | None = None

    @classmethod
    def of(cls, features: FeatureSpec, *, channels: bool = True) -> Columns:
        """Those of features; without `channels` that number stays open."""
        width = features.embedding_dim if channels else None
        return cls(features.num_dense, features.num_sparse, features.cardinalities, width, features)

    @property
    def only_channels(self) -> bool:
        """Is nothing said but the channels, if they are?"""
        return self == Columns(embedding_dim=self.embedding_dim)

    def complete(self, name: str, tables: tuple[tuple[int, int], ...] = ()) -> FeatureSpec:
        """With what is not known filled in.

        Args:
            name: of the model, for messages.
            tables: rows and channels of the tables in a file of weights; they count if there is one for each column.

        Raises:
            FeatureError: the numbers of columns are not known, or there is another number of tables.
        """
        sparse = self.num_sparse if self.num_sparse is not None else len(tables) or None
        if self.num_dense is None or sparse is None:
            options = (("--dense N", self.num_dense), ("--sparse N", sparse))
            missing = " and ".join(option for option, value in options if value is None)
            raise FeatureError(f"the columns of the data are not known for {name!r}; give {missing}, or --data SPEC")
        stored = tables if len(tables) == sparse else ()
        channels = self.embedding_dim or (stored[0][1] if stored else CHANNELS)
        if self.whole is not None:
            return replace(self.whole, embedding_dim=channels)
        rows = self.cardinalities or tuple(count for count, _ in stored) or (DEFAULT_ROWS,)
        if len(rows) not in (1, sparse):
            raise FeatureError(
                f"--cardinality names {len(rows)} tables for {sparse} categorical columns; give one each"
            )
        return FeatureSpec(self.num_dense, rows * sparse if len(rows) == 1 else rows, channels)

    def contradiction(self, own: FeatureSpec, graph: Graph | None = None) -> str | None:
        """What is said here and not so of a model, in words: `4 dense columns, not 5`; None where all of it is so.

        Args:
            own: the model's columns.
            graph: the model; pruning may have left it columns without a table, whose rows do not matter then.
        """
        for what, said, found in (
            ("dense columns", self.num_dense, own.num_dense),
            ("categorical columns", self.num_sparse, own.num_sparse),
            ("channels of an embedding", self.embedding_dim, own.embedding_dim),
        ):
            if said is not None and said != found:
                return f"{found} {what}, not {said}"
        if self.cardinalities is None:
            return None
        rows = self.cardinalities * (own.num_sparse if len(self.cardinalities) == 1 else 1)
        if len(rows) != own.num_sparse:
            return f"{own.num_sparse} categorical columns, not {len(rows)}"
        tables = dict(enumerate(own.cardinalities)) if graph is None else table_rows(graph)
        for column, found in tables.items():
            if rows[column] != found:
                return f"{found:,} rows in the table of column {column}, not {rows[column]:,}"
        return None


def columns_of(data: DataLike) -> Columns:
    """The columns of rows: a prepared folder's are read from its manifest, a JSON file states them, others are loaded.

    Args:
        data: see `nasrec.runs.source_of`; or a file such as
            `{"num_dense": 13, "cardinalities": [1461, 584], "embedding_dim": 16}`, of which the last may be absent.

    Raises:
        FeatureError: the file cannot be read, or is malformed.
        DataError: there are no such rows.
    """
    if isinstance(data, (str, os.PathLike)):
        path = os.fspath(data)
        if os.path.isdir(path):
            import nasrec.data

            return Columns.of(nasrec.data.open(path).features(), channels=False)
        if not path.startswith(SYNTHETIC):
            features, stated = FeatureSpec.load(path), read_json(path, FeatureError)
            return Columns.of(features, channels=isinstance(stated, Mapping) and "embedding_dim" in stated)
    return Columns.of(load_data(data).splits.train.features(), channels=False)
