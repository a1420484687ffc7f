"""What the actions on a trained supernet share: the file, genotypes of its space, rows of its columns."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nasrec.checks import format_path
from nasrec.cli.options import data as rows
from nasrec.cli.options import devices
from nasrec.cli.options import model as architectures
from nasrec.cli.usage import UsageError, number
from nasrec.errors import DataError, SpaceError

if TYPE_CHECKING:
    from nasrec.cli.options.data import Rows
    from nasrec.genotype import Genotype
    from nasrec.supernet import FinetuneConfig, Supernet

__all__ = ["add_arguments", "add_tuning", "genotype_of", "open_supernet", "rows_for", "tuning_of"]


def add_arguments(parser: argparse.ArgumentParser, *, several: bool) -> None:
    """CKPT and GENOTYPE, or GENOTYPE..."""
    parser.add_argument("checkpoint", metavar="CKPT", help="a supernet.pt of 'nasrec supernet train'")
    parser.add_argument(
        "genotypes" if several else "genotype",
        metavar="GENOTYPE",
        nargs="+" if several else None,
        help="a JSON file in nasrec's own form or the published release's, or a preset; of the supernet's space",
    )


def add_tuning(parser: argparse.ArgumentParser) -> None:
    """--finetune and what goes with it."""
    group = parser.add_argument_group("fine-tuning of the last linear")
    group.add_argument("--finetune", type=number(1), metavar="STEPS", help="for so many steps (500 in the paper)")
    group.add_argument("--finetune-rows", type=number(1), metavar="N", help="over and over on so many rows: faster")
    group.add_argument("--finetune-lr", type=float, metavar="X", help="peak learning rate of Adagrad")
    group.add_argument("--batch-size", type=number(1), default=512, metavar="N", help="rows of a step (default 512)")
    group.add_argument("--seed", type=number(0), default=0, help="of their order, and of a twin's rows (default 0)")
    devices.add_option(group)


def tuning_of(args: argparse.Namespace) -> FinetuneConfig | None:
    """What the options of `add_tuning` say; None without --finetune."""
    from nasrec.supernet import FinetuneConfig

    if args.finetune is None:
        return None
    rate = {} if args.finetune_lr is None else {"lr": args.finetune_lr}
    return FinetuneConfig(args.finetune, args.batch_size, args.finetune_rows, seed=args.seed, **rate)


def open_supernet(args: argparse.Namespace, command: str) -> Supernet:
    """The supernet of CKPT, on --device."""
    from nasrec.supernet import load

    device = devices.choose(args.device, command)
    return load(args.checkpoint).to(device)


def genotype_of(text: str, net: Supernet) -> Genotype:
    """The genotype that an argument names, which must be of the supernet's space."""
    architecture = architectures.load(text)
    if architecture.genotype is None:
        raise UsageError(f"nasrec supernet: {text} is a {architecture.kind}, which no supernet holds; name a genotype")
    if (reason := net.space.violation(architecture.genotype)) is not None:
        raise SpaceError(f"{format_path(text)}: not in the supernet's space: {reason}")
    return architecture.genotype


def rows_for(net: Supernet, args: argparse.Namespace) -> Rows:
    """The rows that --data names, which must have the supernet's columns."""
    data = rows.load(args, seed=args.seed)
    found = data.splits.train.features(net.features.embedding_dim)
    if found != net.features:
        raise DataError(
            f"{args.data}: has {found.num_dense} dense and {found.num_sparse} categorical columns, "
            f"{sum(found.cardinalities):,} table rows; the supernet was trained on {net.features.num_dense} and "
            f"{net.features.num_sparse}, {sum(net.features.cardinalities):,}: give the rows it was trained on"
        )
    return data
