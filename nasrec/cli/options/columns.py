"""The options that say what columns a model's data has."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace

from nasrec.cli.options.model import Architecture
from nasrec.cli.usage import UsageError, number
from nasrec.errors import FeatureError
from nasrec.features import FeatureSpec
from nasrec.lowering.graphs import features_of

__all__ = ["add_options", "resolve"]

DEFAULT_ROWS = 1000


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds --dense, --sparse, --cardinality, --embedding-dim and --data."""
    group = parser.add_argument_group(
        "columns of the data", "A preset and a graph know the columns of their data; everything else needs them."
    )
    group.add_argument("--dense", type=number(0), metavar="N", help="numeric columns, 0 or more")
    group.add_argument("--sparse", type=number(0), metavar="N", help="categorical columns")
    group.add_argument(
        "--cardinality",
        type=number(1),
        nargs="+",
        metavar="ROWS",
        help=f"rows of the embedding tables: one for all columns, or one each (default {DEFAULT_ROWS})",
    )
    group.add_argument("--embedding-dim", type=number(1), metavar="E", help="channels of an embedding (default 16)")
    group.add_argument(
        "--data",
        metavar="SPEC",
        help="a folder made by 'nasrec data prepare', or a JSON file with all of these: "
        '{"num_dense": 13, "cardinalities": [1461, 584, ...], "embedding_dim": 16}',
    )


def resolve(
    args: argparse.Namespace, architecture: Architecture, tables: tuple[tuple[int, int], ...] = ()
) -> FeatureSpec:
    """The columns that the options name, those of the preset where they are silent.

    Args:
        args: parsed options of `add_options`.
        architecture: what is compiled.
        tables: rows and channels of each embedding table in a file of weights; they stand in for --cardinality and
            --embedding-dim.

    Raises:
        UsageError: the options contradict each other, or say too little.
        FeatureError: a value is out of range.
    """
    if architecture.fixed is not None and args.data is None:
        if any(value is not None for value in (args.dense, args.sparse, args.cardinality, args.embedding_dim)):
            raise UsageError(
                f"nasrec: graph {architecture.name} knows its columns; leave out --dense, --sparse, --cardinality and "
                "--embedding-dim"
            )
        return features_of(architecture.fixed)
    if args.data is not None:
        if any(value is not None for value in (args.dense, args.sparse, args.cardinality)):
            raise UsageError("nasrec: --data states all columns; leave out --dense, --sparse and --cardinality")
        spec = _stated(args.data)
        return spec if args.embedding_dim is None else replace(spec, embedding_dim=args.embedding_dim)
    preset = architecture.preset
    num_dense = args.dense if args.dense is not None else preset.num_dense if preset else None
    num_sparse = args.sparse if args.sparse is not None else preset.num_sparse if preset else None
    if num_sparse is None and tables:
        num_sparse = len(tables)
    if num_dense is None or num_sparse is None:
        missing = " and ".join(
            option for option, value in (("--dense N", num_dense), ("--sparse N", num_sparse)) if value is None
        )
        raise UsageError(
            f"nasrec: the columns of the data are not known for {architecture.name!r}; give {missing}, or --data SPEC"
        )
    stored = len(tables) == num_sparse
    rows = args.cardinality or ([count for count, _ in tables] if stored else [DEFAULT_ROWS])
    if len(rows) not in (1, num_sparse):
        raise FeatureError(
            f"--cardinality names {len(rows)} tables for {num_sparse} categorical columns; give one each"
        )
    channels = args.embedding_dim or (tables[0][1] if stored and tables else 16)
    return FeatureSpec(num_dense, rows * num_sparse if len(rows) == 1 else rows, channels)


def _stated(path: str) -> FeatureSpec:
    if not os.path.isdir(path):
        return FeatureSpec.load(path)
    import nasrec.data

    return nasrec.data.open(path).features()
