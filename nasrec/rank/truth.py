"""Ground truth: architectures trained from scratch, into a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from nasrec.compiler import compile_graph
from nasrec.data.dataset import Log, Splits
from nasrec.genotype import Genotype
from nasrec.lowering.graphs import cost, graph_of
from nasrec.progress import Meter
from nasrec.rank.table import Entry, TableFile
from nasrec.space import SearchSpace
from nasrec.train import TrainingRecipe, evaluate, train

__all__ = ["identity_of", "train_entry", "train_missing"]


def identity_of(space: SearchSpace, splits: Splits[Log], embedding_dim: int, recipe: TrainingRecipe) -> dict[str, Any]:
    """What all entries of a table have in common, as plain values; the seed is not among it."""
    settings: Mapping[str, Any] = {name: value for name, value in asdict(recipe.config).items() if name != "seed"}
    return {
        "space": space.to_dict(),
        "data": {"train": splits.train.sha256, "valid": splits.valid.sha256, "test": splits.test.sha256},
        "embedding_dim": embedding_dim,
        "config": settings,
        **({} if recipe.embedding_std is None else {"embedding_std": recipe.embedding_std}),
        **({"dropout": recipe.dropout} if recipe.dropout else {}),
    }


def train_entry(genotype: Genotype, splits: Splits[Log], embedding_dim: int, recipe: TrainingRecipe) -> Entry:
    """Trains one architecture from scratch and scores the weights that were best on the validation rows.

    Raises:
        TrainError: the training failed.
        KeyboardInterrupt: Ctrl-C.
    """
    config, features = recipe.config, splits.train.features(embedding_dim)
    graph = graph_of(genotype, features, dropout=recipe.dropout)
    model = compile_graph(graph, seed=config.seed, embedding_std=recipe.embedding_std)
    result = train(model, splits.train, splits.valid, config)
    if result.interrupted:
        raise KeyboardInterrupt
    assert result.best is not None  # there are validation rows
    found = cost(genotype, features)
    curve = [(one.step * config.batch_size, one.metrics.log_loss, one.metrics.auc) for one in result.evaluations]
    return Entry(
        genotype=genotype,
        seed=config.seed,
        valid=result.best.metrics,
        test=evaluate(model, splits.test, config.eval_batch_size),
        curve=tuple(curve),
        cost={
            "macs": found.macs,
            "parameters": found.parameters - found.embedding_parameters,
            "live_blocks": len(found.live_blocks),
        },
        train_s=result.train_s,
    )


def train_missing(
    genotypes: Sequence[Genotype],
    splits: Splits[Log],
    embedding_dim: int,
    recipe: TrainingRecipe,
    file: TableFile,
    *,
    seeds: int = 1,
    meter: Meter | None = None,
) -> None:
    """Trains what a table lacks and adds each entry as soon as it is trained.

    Args:
        genotypes: the architectures that the table is to have.
        splits: rows to train, select and test on.
        embedding_dim: channels of an embedding.
        recipe: how each is trained; its seed is the first one.
        file: the table; its identity should be that of `identity_of`.
        seeds: trainings of each architecture, with consecutive seeds.
        meter: shows progress.

    Raises:
        TrainError: a training failed.
        KeyboardInterrupt: Ctrl-C; what was done before is in the table.
    """
    wanted = [(genotype, recipe.config.seed + seed) for genotype in genotypes for seed in range(seeds)]
    missing = [(genotype, seed) for genotype, seed in wanted if file.get(genotype, seed) is None]
    done = len(wanted) - len(missing)
    if meter is not None:
        meter.begin("ground truth", len(wanted), "trainings", done)
    try:
        for genotype, seed in missing:
            entry = train_entry(genotype, splits, embedding_dim, recipe.with_seed(seed))
            file.add(entry)
            done += 1
            if meter is not None:
                meter.advance(done, f"last log loss {entry.test.log_loss:.4f}")
    finally:
        if meter is not None:
            meter.end()
