"""The --data option of commands that train: a prepared folder, raw click logs by path, a synthetic log by name."""

from __future__ import annotations

import argparse

from nasrec.cli.usage import number
from nasrec.runs.data import SYNTHETIC_ROWS, DataSource

__all__ = ["NAMES", "add_options", "source_of"]

NAMES = ("data", "rows", "kind", "split", "min_count")
"""Of the options, which are fields of `DataSource` too."""


def add_options(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Adds --data, --rows, --kind, --split and --min-count; what is not given is None."""
    group = parser.add_argument_group("rows")
    group.add_argument(
        "--data",
        metavar="PATH",
        required=required,
        help="a folder made by 'nasrec data prepare' or 'synth', or what fits into memory: a raw click log (Criteo "
        "train.txt, Avazu train.csv, Frappe; plain or packed), a folder that holds one, or a synthetic log: "
        "synth:criteo, synth:avazu, synth:kdd, synth:frappe",
    )
    group.add_argument(
        "--rows",
        type=number(1),
        metavar="N",
        help=f"read or make only N rows (a synthetic log has {SYNTHETIC_ROWS:,} by default)",
    )
    group.add_argument("--kind", metavar="KIND", help="criteo, avazu or frappe, where the content leaves a doubt")
    group.add_argument(
        "--split",
        metavar="HOW",
        help="random (default), time (file order) or given (three files); parts are 80, 10 and 10 per cent",
    )
    group.add_argument("--min-count", type=number(1), metavar="N", help="rarer categories share one id")


def source_of(args: argparse.Namespace) -> DataSource:
    """What the parsed options name; --data was given."""
    return DataSource(**{name: getattr(args, name) for name in NAMES})
