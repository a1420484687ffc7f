"""The options of `nasrec search`, which `nasrec codesign` shares: goal, scores, algorithm, training of the best."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from nasrec.cli.options import data
from nasrec.cli.usage import number
from nasrec.runs import settings
from nasrec.runs.options import TuneOptions
from nasrec.runs.search import ALGORITHMS, SearchOptions

__all__ = ["add_algorithm", "add_finetune_rows", "add_goal", "add_options", "add_retraining", "add_scoring", "given"]

_SIZES: dict[str, tuple[int, str]] = {
    "population": (1, "members of evolution, or of a generation of nsga2"),
    "iterations": (0, "generations of evolution after the first population"),
    "sample": (1, "members that compete to be the parent"),
    "children": (1, "genotypes of an iteration of evolution"),
    "mutations": (1, "of the parent, to make a child"),
    "generations": (1, "of nsga2, the first of random genotypes"),
    "evaluations": (1, "of random search"),
}
"""Least value and help; the defaults are those of `SearchOptions`."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares them."""
    group = add_goal(
        parser,
        "(default log_loss): log_loss, auc, macs, parameters, latency_ms, pim.latency_ns, pim.energy_nJ, pim.area_mm2, "
        "or package.module:function of a genotype",
    )
    group.add_argument("--hardware", metavar="HW", default="default", help="for pim values: a preset or a TOML file")
    add_scoring(parser, finetune=500)
    add_algorithm(parser, "evolution").add_argument(
        "--operators", choices=("single", "any"), default="single",
        help="in each branch of a block: a single one (default), as in the paths that supernets are trained on, or any "
        "set of them",
    )  # fmt: skip


def add_goal(parser: argparse.ArgumentParser, known: str) -> argparse._ArgumentGroup:
    """Adds --supernet, the rows, --objective, and --limit in the group that is returned; `known` lists values."""
    parser.add_argument(
        "--supernet",
        metavar="FILE",
        required=True,
        help="a trained supernet: the folder of 'nasrec supernet train', or its supernet.pt",
    )
    data.add_options(parser, required=False)
    group = parser.add_argument_group("goal")
    group.add_argument(
        "--objective", action="append", metavar="NAME",
        help=f"what to make best, the most important first {known}; smaller is better, but for auc; max:NAME or "
        "min:NAME says otherwise; may be given again",
    )  # fmt: skip
    group.add_argument(
        "--limit", action="append", default=[], metavar="NAME<=X", help="a hard limit, <= or >=; may be given again"
    )
    return group


def add_scoring(parser: argparse.ArgumentParser, finetune: int) -> argparse._ArgumentGroup:
    """Adds how the supernet scores, in the group that is returned. `finetune`: default number of steps."""
    group = parser.add_argument_group("scores from the supernet")
    group.add_argument(
        "--finetune", type=number(0), default=finetune, metavar="STEPS",
        help=f"of the last layer before a score is taken (default {finetune}; the paper takes 500)",
    )  # fmt: skip
    add_finetune_rows(group)
    group.add_argument(
        "--valid-rows", type=number(1), default=20_000, metavar="N", help="validation rows to score on (default 20,000)"
    )
    return group


def add_finetune_rows(group: argparse._ArgumentGroup) -> None:
    """Adds --finetune-rows, which belongs to --finetune."""
    group.add_argument(
        "--finetune-rows", type=number(1), default=32_768, metavar="N",
        help="that these steps read over and over (default 32,768): the fewer, the faster",
    )  # fmt: skip


def add_algorithm(parser: argparse.ArgumentParser, default_algorithm: str) -> argparse._ArgumentGroup:
    """Adds the algorithm, its sizes and its workers, in the group that is returned."""
    group = parser.add_argument_group("algorithm")
    group.add_argument(
        "--algorithm", choices=ALGORITHMS, default=default_algorithm, help=f"default {default_algorithm}"
    )
    for name, (least, text) in _SIZES.items():
        default = getattr(SearchOptions, name)
        shown = f"{text} (default {default:,})"
        group.add_argument(f"--{name}", type=number(least), default=default, metavar="N", help=shown)
    group.add_argument(
        "--decreasing", action="store_true", help="fewer mutations from iteration to iteration, down to 1"
    )
    group.add_argument("--seed", type=number(0), default=0, metavar="N", help="of all draws (default 0)")
    group.add_argument("--workers", type=number(1), default=1, metavar="N", help="processes that evaluate (default 1)")
    group.add_argument(
        "--ray", nargs="?", const="auto", metavar="ADDRESS", help="evaluate on a Ray cluster, by --workers actors"
    )
    return group


def add_retraining(
    parser: argparse.ArgumentParser,
    usual: type[SearchOptions],
    which: str = "best",
    remark: str = "the paper trains 15",
) -> None:
    """Adds --retrain and what belongs to it; `usual` has the defaults."""
    group = parser.add_argument_group("training of the best from scratch")
    group.add_argument(
        "--retrain", type=number(0), default=0, metavar="K", help=f"train K {which} (default 0; {remark})"
    )
    group.add_argument(
        "--train-config", metavar="FILE", help="settings of that training: TOML as 'nasrec train --config' takes it"
    )
    rates = TuneOptions()
    group.add_argument(
        "--rates", type=float, nargs=2, metavar=("LOW", "HIGH"), default=None,
        help=f"peak learning rates to tune over (default {rates.low:g} {rates.high:g}, the paper's, or the rate of "
        "--train-config)",
    )  # fmt: skip
    group.add_argument(
        "--rate-trials", type=number(1), default=usual.rate_trials, metavar="N",
        help=f"how many rates (default {usual.rate_trials})",
    )  # fmt: skip
    group.add_argument(
        "--seeds", type=number(1), default=usual.seeds, metavar="N",
        help=f"runs of what is chosen, scored on test (default {usual.seeds})",
    )  # fmt: skip


def given(args: argparse.Namespace, kind: type[SearchOptions]) -> dict[str, Any]:
    """The parsed options as arguments of an options class.

    Raises:
        TrainError: the file of --train-config cannot be read, or a setting in it is wrong.
    """
    found = {one.name: getattr(args, one.name) for one in dataclasses.fields(kind) if hasattr(args, one.name)}
    found["limits"] = tuple(args.limit)
    if args.objective:
        found["objectives"] = tuple(args.objective)
    if args.rates is not None:
        found["rates"] = (args.rates[0], args.rates[1])
    if args.train_config is not None:
        found["recipe"] = settings.recipe_from_file(args.train_config)
    return found
