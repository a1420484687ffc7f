"""A ranking study: the truth, the supernets to examine, their scores, and what is told of them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec.cli.options import data as rows
from nasrec.cli.options import space as spaces
from nasrec.cli.options import training as settings
from nasrec.cli.usage import UsageError
from nasrec.errors import TrainError
from nasrec.reports import text as output

if TYPE_CHECKING:
    from nasrec.cli.options.data import Rows
    from nasrec.genotype import Genotype
    from nasrec.rank import Interval, Table
    from nasrec.rank.contrast import Contrast
    from nasrec.rank.study import Ranked, Variant
    from nasrec.space import SearchSpace
    from nasrec.supernet import Supernet
    from nasrec.train import TrainingRecipe

__all__ = ["study"]


def study(args: argparse.Namespace, target: Path) -> dict[str, Any]:
    """Trains what is missing, compares, draws; gives the report. `args` are those of `nasrec rank`."""
    from nasrec.environment import environment
    from nasrec.rank.contrast import contrasts
    from nasrec.reports import rank_figures as pictures
    from nasrec.train import TrainingRecipe

    scratch = settings.from_file(args.train_config) if args.train_config else TrainingRecipe()
    data = rows.load(args, seed=args.seed)
    candidates = _candidates(args, data, target)
    spaces_of = dict.fromkeys(candidate.space for candidate in candidates)
    # The truth first: what is wrong with its table or settings shows before a supernet is trained.
    tables = {space: _truth(args, space, data, scratch, target) for space in spaces_of}
    ranked = [one for candidate in candidates for one in _ranked(args, candidate, tables[candidate.space], data)]
    pictures.draw_scatter(ranked, target / "scatter.png")
    pictures.draw_cdf(ranked, target / "cdf.png")
    differences = contrasts(ranked)
    if not args.json:
        print(f"\n{_table(ranked)}\n\n{_differences(differences)}")
    return {
        "command": "rank",
        "settings": _settings(args, candidates[0].space, scratch),
        "data": data.summary(),
        "environment": environment(),
        "architectures": len(ranked[0].truth),
        "ranked": [_plain(one) for one in ranked],
        "differences": [{**vars(one), "statistics": _intervals(one.statistics)} for one in differences],
    }


@dataclass(frozen=True)
class _Candidate:
    """A supernet to examine, trained or read when it is asked for."""

    name: str
    traits: Mapping[str, str | int]
    space: SearchSpace
    make: Callable[[], Supernet]


def _candidates(args: argparse.Namespace, data: Rows, target: Path) -> list[_Candidate]:
    from nasrec.lowering.masking import written_word
    from nasrec.rank.study import Variant, matrix, trained
    from nasrec.supernet import load
    from nasrec.train import TrainConfig

    if args.supernet is not None:
        if args.matrix:
            raise UsageError("nasrec rank: --matrix trains supernets; leave out --supernet")
        net = load(args.supernet)
        if data.splits.train.features(net.features.embedding_dim) != net.features:
            raise TrainError(f"{args.supernet}: was trained on other columns than those of {data.source}")
        return [_Candidate(Path(args.supernet).stem, {"masking": written_word(net.masking)}, net.space, lambda: net)]
    space = spaces.load(args)
    config = TrainConfig(
        epochs=args.supernet_epochs, lr=args.supernet_lr, batch_size=args.supernet_batch_size, seed=args.seed
    )
    seeds = args.supernet_seeds
    variants: Sequence[Variant] = [Variant(balanced_dot=space.balanced_dot, seed=seed) for seed in range(seeds)]
    if args.matrix:
        variants = matrix(balanced=(True, False) if args.unbalanced else (space.balanced_dot,), seeds=seeds)

    def make(variant: Variant) -> Callable[[], Supernet]:
        return lambda: trained(variant, space, data.splits, args.embedding_dim, config, target / "supernets")

    return [
        _Candidate(variant.name, variant.traits, replace(space, balanced_dot=variant.balanced_dot), make(variant))
        for variant in variants
    ]


def _truth(args: argparse.Namespace, space: SearchSpace, data: Rows, scratch: TrainingRecipe, target: Path) -> Table:
    from nasrec.progress import console_meter
    from nasrec.rank import Table, TableFile
    from nasrec.rank.truth import identity_of, train_missing

    path = Path(args.truth or target / "truth.jsonl")
    if not space.balanced_dot:
        path = path.with_stem(f"{path.stem}-unbalanced")
    genotypes = _architectures(args, space)
    with TableFile(path, identity_of(space, data.splits, args.embedding_dim, scratch)) as file:
        train_missing(
            genotypes, data.splits, args.embedding_dim, scratch, file,
            seeds=args.truth_seeds, meter=console_meter(),
        )  # fmt: skip
    table = Table.load(path)
    wanted = set(genotypes)
    return Table(table.identity, tuple(entry for entry in table.entries if entry.genotype in wanted))


def _architectures(args: argparse.Namespace, space: SearchSpace) -> list[Genotype]:
    """Drawn as the supernet's paths are by default, or all of the space."""
    import numpy as np

    if args.all:
        most = 100_000
        if space.cardinality() > most:
            raise TrainError(f"--all: the space has {space.cardinality():.3g} architectures; narrow it to {most:,}")
        return list(space.enumerate())
    rng = np.random.default_rng([args.seed, 77])
    found: dict[Genotype, None] = {}
    for _ in range(100 * args.architectures):
        found.setdefault(space.sample(rng, operators="single", counts="binomial"))
        if len(found) == args.architectures:
            break
    return list(found)


def _ranked(args: argparse.Namespace, candidate: _Candidate, table: Table, data: Rows) -> list[Ranked]:
    """Without and with fine-tuning."""
    from nasrec.progress import console_meter
    from nasrec.rank.study import rank, score_all
    from nasrec.supernet import FinetuneConfig

    net, truth = candidate.make(), table.scores(table.genotypes)
    found = []
    for finetune in (0, args.finetune):
        tuning = FinetuneConfig(finetune, distinct_rows=args.finetune_rows) if finetune else None
        predicted = score_all(
            net, table.genotypes, data.splits, tuning, valid_rows=args.valid_rows, meter=console_meter(),
            label=f"{candidate.name}, {finetune} steps",
        )  # fmt: skip
        found.append(rank(candidate.name, finetune, candidate.traits, truth, predicted))
    return found


def _settings(args: argparse.Namespace, space: SearchSpace, scratch: TrainingRecipe) -> dict[str, Any]:
    """Of a study; those of a supernet's training only where one was trained."""
    of_training = ("supernet_seeds", "supernet_epochs", "supernet_lr", "supernet_batch_size", "matrix", "unbalanced")
    names = ("finetune", "finetune_rows", "valid_rows", "embedding_dim", "truth_seeds", "seed")
    return {
        **{name: getattr(args, name) for name in (*names, *(("supernet",) if args.supernet else of_training))},
        "space": space.to_dict(),
        "training_from_scratch": {
            **{name: value for name, value in asdict(scratch.config).items() if name != "seed"},
            "embedding_std": scratch.embedding_std,
            "dropout": scratch.dropout,
        },
    }


def _plain(one: Ranked) -> dict[str, Any]:
    return {
        "name": one.name,
        "finetune": one.finetune,
        "traits": dict(one.traits),
        "statistics": _intervals(one.agreement.statistics),
        "truth": list(one.truth),
        "predicted": list(one.predicted),
    }


def _intervals(statistics: Mapping[str, Interval]) -> dict[str, dict[str, float]]:
    return {name: found._asdict() for name, found in statistics.items()}


def _table(ranked: Sequence[Ranked]) -> str:
    names = ("pearson", "kendall", "spearman", "kendall_top_half", "regret_top_1", "regret_top_5", "regret_top_15")
    lines = [
        [one.name, str(one.finetune), *(str(one.agreement.statistics[name]) for name in names[:4]),
         *(f"{one.agreement.statistics[name].value:.4f}" for name in names[4:])]
        for one in ranked
    ]  # fmt: skip
    header = ("supernet", "fine-tuned", *(name.replace("_", " ") for name in names))
    return f"{len(ranked[0].truth)} architectures; 95 per cent intervals\n\n{output.table(header, lines)}"


def _differences(found: Sequence[Contrast]) -> str:
    names = ("kendall", "spearman", "kendall_top_half", "regret_top_5")
    lines = [
        [one.trait, f"{one.of} over {one.over}", str(one.pairs), *(str(one.statistics[name]) for name in names)]
        for one in found
    ]
    header = ("what differs", "gain of", "pairs", *(name.replace("_", " ") for name in names))
    return f"what each choice gains, everything else equal\n\n{output.table(header, lines, left=2)}"
