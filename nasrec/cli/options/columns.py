"""The options that say what columns a model's data has, and the model that GENOTYPE and they name together."""

from __future__ import annotations

import argparse

from nasrec.cli.options import model as architectures
from nasrec.cli.usage import number
from nasrec.runs.columns import DEFAULT_ROWS, Columns
from nasrec.runs.opened import OpenedModel, open_model
from nasrec.runs.options import CHANNELS

__all__ = ["add_options", "add_weights", "columns_of", "opened"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds --dense, --sparse, --cardinality, --embedding-dim and --data."""
    group = parser.add_argument_group(
        "columns of the data",
        "A run and a graph know the columns of their data, a preset how many there are; everything else needs them.",
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
    group.add_argument(
        "--embedding-dim", type=number(1), metavar="E", help=f"channels of an embedding (default {CHANNELS})"
    )
    group.add_argument(
        "--data",
        metavar="SPEC",
        help="a folder made by 'nasrec data prepare', or a JSON file with all of these: "
        '{"num_dense": 13, "cardinalities": [1461, 584, ...], "embedding_dim": 16}',
    )


def add_weights(parser: argparse.ArgumentParser) -> None:
    """Adds --weights."""
    parser.add_argument(
        "--weights",
        metavar="FILE|RUN",
        help="a state dict to copy in (.pt or .safetensors): as nasrec saves it, or the published release's; or the "
        "folder of a run (default: those that the run GENOTYPE has trained)",
    )


def columns_of(args: argparse.Namespace) -> Columns:
    """What the options say, but --data."""
    rows = tuple(args.cardinality) if args.cardinality is not None else None
    return Columns(args.dense, args.sparse, rows, args.embedding_dim)


def opened(args: argparse.Namespace) -> OpenedModel:
    """The model that the parsed arguments name together.

    Raises:
        NasrecError: there is no such thing, or they contradict each other, a graph or a run.
    """
    options = architectures.given_options(args)
    return open_model(args.genotype, columns_of(args), args.data, getattr(args, "weights", None), options)
