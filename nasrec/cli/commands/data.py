"""Click logs for training: prepare raw files in bounded memory, make a synthetic twin, look at what a folder holds.

Each has --help, and --json where it prints results.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec.cli.tables.data import prepared
from nasrec.cli.usage import INTERRUPTED, UsageError, number
from nasrec.io.json import json_text

if TYPE_CHECKING:
    from nasrec.data import Manifest

HELP = "prepare click logs, make synthetic ones, show prepared folders"

ACTIONS = ("prepare", "synth", "show")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the subcommands and their options."""
    actions = parser.add_subparsers(metavar="ACTION", title="actions", dest="action")
    _configure_prepare(actions)
    _configure_synth(actions)
    show = actions.add_parser(
        "show", help="what a prepared folder holds", description="Show what a prepared folder holds."
    )
    show.add_argument("folder", metavar="DIR", help="a folder made by 'nasrec data prepare' or 'synth'")
    show.add_argument("--check", action="store_true", help="read every file and compare its SHA-256")
    show.add_argument("--json", action="store_true", help="print the manifest as JSON")


def run(args: argparse.Namespace) -> int:
    """Runs one action."""
    if args.action is None:
        raise UsageError(f"nasrec data: name an action: {', '.join(ACTIONS)}; see 'nasrec data --help'")
    if args.action == "show":
        from nasrec import data

        return _print(data.open(args.folder, check=args.check).manifest, Path(args.folder), args.json)
    try:
        manifest = _prepare(args) if args.action == "prepare" else _synth(args)
    except KeyboardInterrupt:
        print(
            f"nasrec: interrupted; what is done is kept in {args.output}: run the same command again to go on",
            file=sys.stderr,
        )
        return INTERRUPTED
    return _print(manifest, Path(args.output), args.json)


def _configure_prepare(actions: Any) -> None:
    parser = actions.add_parser(
        "prepare",
        help="raw files to a prepared folder",
        description="Prepare raw click logs of any size for training, in bounded memory. Run the same command again "
        "after an interrupt or a crash: it goes on where it stopped.",
    )
    parser.add_argument("raw", nargs="+", metavar="RAW", help="raw files (plain, gz, bz2, xz, zst, Parquet), read as "
                        "one log, or the folder that holds a known one")  # fmt: skip
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--dataset", metavar="NAME", help="criteo (train.txt or Kaggle's csv), avazu, kdd (training.txt, "
                      "userid_profile.txt) or frappe; recognised if left out")  # fmt: skip
    kind.add_argument("--schema", metavar="FILE", help="TOML or JSON naming label, dense and categorical columns of "
                      "any other table")  # fmt: skip
    _add_output(parser)
    split = parser.add_argument_group("split")
    _add_split(split, ("random", "time", "given"), "random: stratified by label (default); time: in file order; given: "
               "three files, train, valid and test")  # fmt: skip
    ids = parser.add_argument_group("columns")
    ids.add_argument(
        "--min-count",
        type=number(1),
        metavar="N",
        help="rarer categories share the id of unknown ones (default criteo 10, avazu and kdd 2, else 1)",
    )
    ids.add_argument(
        "--table-rows",
        metavar="N",
        default="500000",
        help="rows of a table at the most, or 'none' for full tables (default 500,000, as in search)",
    )
    ids.add_argument("--vocabulary-from", choices=("train", "all"), default="train", help="rows that categories are "
                     "counted in (default train)")  # fmt: skip
    ids.add_argument(
        "--dense",
        choices=("signed-log", "clamped-log", "none"),
        default="signed-log",
        help="sign(x) ln(1 + |x|) (default), ln(1 + max(x, 0)) or x; a missing value is 0",
    )
    ids.add_argument("--users", metavar="FILE", help="kdd: userid_profile.txt (default: the one beside the raw file)")
    ids.add_argument(
        "--impressions",
        choices=("expand", "weight", "line"),
        default="expand",
        help="kdd: a row for each view (default), weighted rows, or one row a line, clicked or not",
    )
    rows = parser.add_argument_group("rows")
    rows.add_argument("--rows", type=number(1), metavar="N", help="only the first N rows of each file")
    rows.add_argument("--max-bad-rows", metavar="N", default="1000", help="stop after more bad rows than these, or "
                      "'none' (default 1,000; they are left out and listed)")  # fmt: skip
    rows.add_argument("--strict", action="store_true", help="stop at the first bad row")
    rows.add_argument(
        "--block-mb",
        type=number(1, 1024),
        default=32,
        metavar="MB",
        help="text worked on at a time; memory follows it (default 32)",
    )


def _configure_synth(actions: Any) -> None:
    parser = actions.add_parser(
        "synth",
        help="a synthetic twin of a public data set",
        description="Make a prepared folder of synthetic rows: columns, table sizes, missing values and click rate of "
        "a public data set, with planted interactions. Any number of rows; the same rows for the same seed.",
    )
    parser.add_argument("--like", required=True, metavar="NAME", help="criteo, avazu, kdd or frappe")
    parser.add_argument("--rows", type=number(1, 2**40), required=True, metavar="N", help="how many in all")
    parser.add_argument("--seed", type=number(0), default=0, help="of rows and teacher (default 0)")
    parser.add_argument(
        "--table-rows",
        type=number(8),
        default=1000,
        metavar="N",
        help="rows of a table at the most (default 1,000, so that ids come often enough to be learnt)",
    )
    _add_output(parser)
    _add_split(parser, ("random", "time"), "random: stratified by label (default); time: in row order", seed=False)


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o", "--output", metavar="DIR", required=True, help="a new or empty folder, or one to go on in"
    )
    parser.add_argument("--json", action="store_true", help="print the manifest as JSON")


def _add_split(group: Any, choices: tuple[str, ...], text: str, *, seed: bool = True) -> None:
    group.add_argument("--split", choices=choices, help=text)
    group.add_argument(
        "--fractions",
        type=float,
        nargs=3,
        default=(0.8, 0.1, 0.1),
        metavar="F",
        help="of train, valid and test (default 0.8 0.1 0.1)",
    )
    if seed:
        group.add_argument("--seed", type=number(0), default=2018, help="of the random split (default 2018)")


def _prepare(args: argparse.Namespace) -> Manifest:
    from nasrec import data
    from nasrec.data.progress import console_progress

    options = data.Options(
        split=args.split,
        fractions=tuple(args.fractions),
        seed=args.seed,
        dense=args.dense,
        min_count=args.min_count,
        max_table_rows=_number_or_none("--table-rows", args.table_rows),
        vocabulary_from=args.vocabulary_from,
        max_rows=args.rows,
        max_bad_rows=0 if args.strict else _number_or_none("--max-bad-rows", args.max_bad_rows),
        impressions=args.impressions,
        block_bytes=args.block_mb << 20,
    )
    return data.prepare(
        args.raw, args.output, dataset=args.dataset, schema=args.schema, users=args.users, options=options,
        progress=console_progress(),
    )  # fmt: skip


def _synth(args: argparse.Namespace) -> Manifest:
    from nasrec.data.progress import console_progress
    from nasrec.data.synthetic.prepared import prepare_synthetic

    return prepare_synthetic(
        args.like, args.rows, args.output, seed=args.seed, max_cardinality=args.table_rows,
        split=args.split or "random", fractions=tuple(args.fractions), progress=console_progress(),
    )  # fmt: skip


def _number_or_none(option: str, text: str) -> int | None:
    if text == "none":
        return None
    try:
        return number(0)(text)
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"nasrec data prepare: argument {option}: {error}; see 'nasrec data prepare --help'") from None


def _print(manifest: Manifest, folder: Path, as_json: bool) -> int:
    if as_json:
        print(json_text(manifest.to_dict() | {"folder": str(folder), "checksum": manifest.checksum}))
    else:
        print(prepared(manifest, folder))
    return 0
