"""Ground truth: architectures trained from scratch, into a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from nasrec.compiler import compile_graph
from nasrec.data.dataset import Log, Splits
from nasrec.genotype import Genotype
from nasrec.lowering.graphs import cost, graph_of
from nasrec.progress import Meter
from nasrec.rank.table import Entry, TableFile
from nasrec.space import SearchSpace
from nasrec.train import TrainConfig, evaluate, train

__all__ = ["identity_of", "train_entry", "train_missing"]


def identity_of(
    space: SearchSpace,
    splits: Splits[Log],
    embedding_dim: int,
    config: TrainConfig,
    embedding_std: float | None = None,
    dropout: float = 0.0,
) -> dict[str, Any]:
    """What the entries of a table have in common; seeds are theirs."""
    settings: Mapping[str, Any] = {name: value for name, value in asdict(config).items() if name != "seed"}
    return {
        "space": space.to_dict(),
        "data": {"train": splits.train.sha256, "valid": splits.valid.sha256, "test": splits.test.sha256},
        "embedding_dim": embedding_dim,
        "config": settings,
        **({} if embedding_std is None else {"embedding_std": embedding_std}),
        **({"dropout": dropout} if dropout else {}),
    }


def train_entry(
    genotype: Genotype,
    splits: Splits[Log],
    embedding_dim: int,
    config: TrainConfig,
    embedding_std: float | None = None,
    dropout: float = 0.0,
) -> Entry:
    """One architecture, trained with the configuration's seed; scored with the weights that were best on validation.

    `embedding_std` is that of `nasrec.compiler.compile_graph`, `dropout` that of `nasrec.lowering.graphs.graph_of`.
    """
    features = splits.train.features(embedding_dim)
    graph = graph_of(genotype, features, dropout=dropout)
    model = compile_graph(graph, seed=config.seed, embedding_std=embedding_std)
    result = train(model, splits.train, splits.valid, config)
    if result.interrupted:
        raise KeyboardInterrupt
    assert result.best is not None  # there are validation rows
    found = cost(genotype, features)
    looks = [(look.step * config.batch_size, look.metrics.log_loss, look.metrics.auc) for look in result.evaluations]
    return Entry(
        genotype=genotype,
        seed=config.seed,
        valid=result.best.metrics,
        test=evaluate(model, splits.test, config.eval_batch_size),
        curve=tuple(looks),
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
    config: TrainConfig,
    file: TableFile,
    *,
    embedding_std: float | None = None,
    dropout: float = 0.0,
    seeds: int = 1,
    meter: Meter | None = None,
) -> None:
    """Trains what a table lacks, each architecture with as many seeds, and adds it as soon as it is done.

    Raises:
        TrainError: a training failed.
        KeyboardInterrupt: Ctrl-C; what was done before is in the table.
    """
    wanted = [(genotype, config.seed + seed) for genotype in genotypes for seed in range(seeds)]
    missing = [(genotype, seed) for genotype, seed in wanted if file.get(genotype, seed) is None]
    done = len(wanted) - len(missing)
    if meter is not None:
        meter.begin("ground truth", len(wanted), "trainings", done)
    try:
        for genotype, seed in missing:
            entry = train_entry(genotype, splits, embedding_dim, replace(config, seed=seed), embedding_std, dropout)
            file.add(entry)
            done += 1
            if meter is not None:
                meter.advance(done, f"last log loss {entry.test.log_loss:.4f}")
    finally:
        if meter is not None:
            meter.end()
