"""The options of `nasrec search`, and what they stand for: algorithm, goal, and what is measured of a genotype."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec.cli.options import data as rows
from nasrec.cli.usage import number
from nasrec.errors import SearchError
from nasrec.search.objectives import Goal, parse_limit, parse_objective

if TYPE_CHECKING:
    from nasrec.genotype import Genotype
    from nasrec.search import Algorithm
    from nasrec.search.candidates import C, CrossingSpace
    from nasrec.search.evaluator import Evaluator
    from nasrec.supernet import Scorer, Supernet

__all__ = [
    "ALGORITHMS",
    "EvaluatorSpec",
    "add_algorithm",
    "add_finetune_rows",
    "add_goal",
    "add_options",
    "add_scoring",
    "algorithm_of",
    "goal_from",
    "goal_of",
    "settings_of",
]

ALGORITHMS = ("evolution", "random", "nsga2")

_COUNTS: dict[str, tuple[int, int, str]] = {
    "population": (1, 128, "members of evolution, or of a generation of nsga2"),
    "iterations": (0, 240, "generations of evolution after the first population"),
    "sample": (1, 64, "members that compete to be the parent"),
    "children": (1, 8, "genotypes of an iteration of evolution"),
    "mutations": (1, 1, "of the parent, to make a child"),
    "generations": (1, 16, "of nsga2, the first of random genotypes"),
    "evaluations": (1, 2048, "of random search"),
}
"""Least value, default (the paper's, section 5.1, where it names one) and help."""


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
        "--supernet", metavar="FILE", required=True, help="a trained supernet: supernet.pt of 'nasrec supernet train'"
    )
    rows.add_options(parser, required=True)
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
    for name, (least, default, text) in _COUNTS.items():
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


def goal_of(args: argparse.Namespace, default: Sequence[str] = ("log_loss",)) -> Goal:
    """Objectives and limits. Raises `SearchError` on malformed ones."""
    objectives = [parse_objective(text) for text in args.objective or default]
    return Goal(tuple(objectives), tuple(parse_limit(text) for text in args.limit))


def goal_from(settings: Mapping[str, Any]) -> Goal:
    """The way back from `settings_of`. Raises `SearchError` on malformed texts."""
    objectives = []
    for text in settings["objectives"]:
        way, _, name = text.partition(" ")
        objectives.append(parse_objective(f"{'max' if way == 'largest' else 'min'}:{name}"))
    return Goal(tuple(objectives), tuple(parse_limit(text) for text in settings["limits"]))


def algorithm_of(args: argparse.Namespace, space: CrossingSpace[C], goal: Goal) -> Algorithm[C]:
    """As new. Raises `SearchError` on settings that do not fit each other."""
    from nasrec.search import RandomSearch, RegularizedEvolution

    if args.algorithm == "random":
        return RandomSearch(space, args.seed, evaluations=args.evaluations, batch=max(8, args.workers))
    if args.algorithm == "nsga2":
        from nasrec.search.nsga2 import Nsga2

        if len(goal.objectives) < 2:
            raise SearchError("nsga2 weighs objectives against each other; name at least two, or use evolution")
        sizes = {"population": args.population, "generations": args.generations}
        return Nsga2(space, args.seed, len(goal.objectives), **sizes)
    sizes = {name: getattr(args, name) for name in ("population", "iterations", "sample", "children", "mutations")}
    return RegularizedEvolution(space, args.seed, **sizes, decreasing=args.decreasing)


_OF_ALGORITHM = {
    "evolution": ("population", "iterations", "sample", "children", "mutations", "decreasing"),
    "random": ("evaluations",),
    "nsga2": ("population", "generations"),
}


def settings_of(args: argparse.Namespace, goal: Goal, hardware: str | None) -> dict[str, Any]:
    """What the journal of a search says of it, besides supernet and data; `hardware` names that of in-memory values."""
    own = {name: getattr(args, name) for name in _OF_ALGORITHM[args.algorithm]}
    if args.algorithm == "random":
        own["batch"] = max(8, args.workers)  # which follows the order of asking
    return {
        "algorithm": args.algorithm,
        **own,
        "seed": args.seed,
        "objectives": [str(objective) for objective in goal.objectives],
        "limits": [str(limit) for limit in goal.limits],
        "finetune": args.finetune,
        "finetune_rows": args.finetune_rows if args.finetune else None,
        "valid_rows": args.valid_rows,
        "hardware": hardware if any(name.startswith("pim.") for name in goal.names) else None,
    }


@dataclass(frozen=True)
class EvaluatorSpec:
    """Everything that measuring needs, by name, so that another process can make it too.

    Attributes:
        supernet: path of the file.
        data: the options of rows, see `nasrec.cli.options.data`.
        seed: of a synthetic twin.
        goal: see `Goal`.
        hardware: preset or file.
        finetune: steps.
        finetune_rows: that they read, over and over.
        valid_rows: at most.
    """

    supernet: str
    data: Mapping[str, Any]
    seed: int
    goal: Goal
    hardware: str
    finetune: int
    finetune_rows: int
    valid_rows: int

    def load(self) -> tuple[Supernet, rows.Rows]:
        """The supernet and the rows. Raises `SearchError` where they do not belong together."""
        from nasrec.supernet import load

        net = load(self.supernet)
        data = rows.load(argparse.Namespace(**self.data), seed=self.seed)
        if data.splits.train.features(net.features.embedding_dim) != net.features:
            raise SearchError(
                f"{self.supernet}: was trained on {net.features.num_dense} dense and {net.features.num_sparse} "
                f"categorical columns of other sizes than those of {data.source}; give the data that it was trained on"
            )
        return net, data

    def make(self) -> Callable[[Genotype], Mapping[str, float]]:
        """What measures, in this process."""
        net, data = self.load()
        return self.measures(net, data)

    def measures(self, net: Supernet, data: rows.Rows) -> Evaluator:
        """The same from a supernet and rows that are there already."""
        from nasrec.cli.options import hardware as chips
        from nasrec.search.evaluator import SCORES, Evaluator

        scorer = self.scorer(net, data) if any(name in SCORES for name in self.goal.names) else None
        in_memory = any(name.startswith("pim.") for name in self.goal.names)
        chip = chips.load(self.hardware, []) if in_memory else None
        return Evaluator(self.goal, net.features, scorer=scorer, hardware=chip)

    def scorer(self, net: Supernet, data: rows.Rows) -> Scorer:
        """What scores a genotype on the validation rows."""
        from nasrec.supernet import FinetuneConfig, Scorer

        return Scorer(
            net,
            data.splits.valid,
            train_log=data.splits.train if self.finetune else None,
            tuning=FinetuneConfig(self.finetune, distinct_rows=self.finetune_rows) if self.finetune else None,
            most_rows=self.valid_rows,
        )

    def identity(self, net: Supernet, data: rows.Rows) -> dict[str, Any]:
        """What the measured values follow from, as plain values."""
        with Path(self.supernet).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"supernet": digest, "space": net.space.to_dict(), "data": data.summary()["sha256"]}
