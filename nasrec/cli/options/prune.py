"""The options of `nasrec prune` that are not those of `nasrec train`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nasrec.cli.usage import number

if TYPE_CHECKING:
    from nasrec.prune import PruneSettings

__all__ = ["add_options", "settings_of"]

# Not read off `nasrec.prune.PruneSettings`, whose package imports torch; a test holds the two together.
NAMES = ("rounds", "share", "method", "by", "ranking", "norm", "min_units", "features", "sparsity", "mask_units",
         "mask_lr")  # fmt: skip


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `PruneSettings`; what is not given is None."""
    group = parser.add_argument_group("pruning")
    group.add_argument("--rounds", type=number(1), metavar="T", help="of dropping and training anew (default 5)")
    group.add_argument("--share", type=float, metavar="X", help="of what is left, dropped in a round (default 0.2)")
    group.add_argument(
        "--method",
        choices=("mask", "magnitude"),
        help="what tells worth: masks learned with the weights (default), or norms of the trained weights",
    )
    group.add_argument(
        "--by",
        choices=("macs", "structures"),
        help="what a share is of: multiply-accumulates (default), or the number of units and fields",
    )
    group.add_argument(
        "--ranking",
        choices=("global", "matrix"),
        help="compare units of the whole model (default), or those of each layer among themselves",
    )
    group.add_argument("--norm", choices=("l2", "l1"), help="of rows and columns, for magnitude (default l2)")
    group.add_argument("--min-units", type=number(1), metavar="N", help="rows that every matrix keeps (default 2)")
    group.add_argument(
        "--features", action=argparse.BooleanOptionalAction, help="let input columns leave too (default: they stay)"
    )
    group.add_argument("--sparsity", type=float, metavar="X", help="weight of the mean mask in the loss (default 0.01)")
    group.add_argument(
        "--mask-units", type=number(1), metavar="N", help="hidden units of a mask generator (default 16)"
    )
    group.add_argument(
        "--mask-lr", type=float, metavar="X", help="peak learning rate of the mask generators, by Adam (default 0.003)"
    )


def settings_of(args: argparse.Namespace) -> PruneSettings:
    """The parsed options.

    Raises:
        PruneError: one is out of range.
    """
    from nasrec.prune import PruneSettings

    given = {name: getattr(args, name) for name in NAMES}
    return PruneSettings(**{name: value for name, value in given.items() if value is not None})
