"""What the actions on a trained supernet share: the file, genotypes, fine-tuning."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nasrec.cli.options import devices
from nasrec.cli.usage import number

if TYPE_CHECKING:
    from nasrec.supernet import FinetuneConfig

__all__ = ["add_arguments", "add_tuning", "tuning_of"]


def add_arguments(parser: argparse.ArgumentParser, *, several: bool) -> None:
    """CKPT and GENOTYPE, or GENOTYPE..."""
    parser.add_argument("checkpoint", metavar="CKPT", help="the folder of 'nasrec supernet train', or its supernet.pt")
    parser.add_argument(
        "genotypes" if several else "genotype",
        metavar="GENOTYPE",
        nargs="+" if several else None,
        help="a JSON file in nasrec's own form or the published release's, a preset, or the folder of a run of one; of "
        "the supernet's space",
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
    if args.finetune is None:
        return None
    from nasrec.supernet import FinetuneConfig

    rate = {} if args.finetune_lr is None else {"lr": args.finetune_lr}
    return FinetuneConfig(args.finetune, args.batch_size, args.finetune_rows, seed=args.seed, **rate)
