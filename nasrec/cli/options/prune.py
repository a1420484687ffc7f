"""The options of `nasrec prune` that are not those of `nasrec train`."""

from __future__ import annotations

import argparse

from nasrec.cli.usage import number
from nasrec.prune.settings import CHOICES, PruneSettings

__all__ = ["add_options"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `PruneSettings`; what is not given is None."""
    usual = PruneSettings()
    group = parser.add_argument_group("pruning")
    group.add_argument(
        "--rounds", type=number(1), metavar="T", help=f"of dropping and training anew (default {usual.rounds})"
    )
    group.add_argument(
        "--share", type=float, metavar="X", help=f"of what is left, dropped in a round (default {usual.share:g})"
    )
    group.add_argument(
        "--method",
        choices=CHOICES["method"],
        help="what tells worth: masks learned with the weights (default), or norms of the trained weights",
    )
    group.add_argument(
        "--by",
        choices=CHOICES["by"],
        help="what a share is of: multiply-accumulates (default), or the number of units and fields",
    )
    group.add_argument(
        "--ranking",
        choices=CHOICES["ranking"],
        help="compare units of the whole model (default), or those of each layer among themselves",
    )
    group.add_argument("--norm", choices=CHOICES["norm"], help="of rows and columns, for magnitude (default l2)")
    group.add_argument(
        "--min-units", type=number(1), metavar="N", help=f"rows that every matrix keeps (default {usual.min_units})"
    )
    group.add_argument(
        "--features", action=argparse.BooleanOptionalAction, help="let input columns leave too (default: they stay)"
    )
    group.add_argument(
        "--sparsity", type=float, metavar="X", help=f"weight of the mean mask in the loss (default {usual.sparsity:g})"
    )
    group.add_argument(
        "--mask-units",
        type=number(1),
        metavar="N",
        help=f"hidden units of a mask generator (default {usual.mask_units})",
    )
    group.add_argument(
        "--mask-lr",
        type=float,
        metavar="X",
        help=f"peak learning rate of the mask generators, by Adam (default {usual.mask_lr:g})",
    )
