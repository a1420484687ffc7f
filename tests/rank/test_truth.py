"""Architectures trained from scratch into a table: what identifies it, and what is trained."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nasrec import SearchSpace
from nasrec.data import ClickLog, Splits, synthesize
from nasrec.rank import Table, TableFile
from nasrec.rank.truth import identity_of, train_entry, train_missing
from nasrec.train import TrainConfig, TrainingRecipe

SPACE = SearchSpace.small(2, dense_dims=(16, 32), sparse_dims=(16,))
RECIPE = TrainingRecipe(TrainConfig(batch_size=128, max_steps=2, seed=5))


@pytest.fixture(scope="module")
def splits() -> Splits[ClickLog]:
    return synthesize("criteo", 600, max_cardinality=20).log.split()


def test_identity_is_written_as_before(splits: Splits[ClickLog]) -> None:
    """Tables of earlier versions are found again by the text of their first line."""
    config = (
        '{"epochs": 1, "max_steps": 2, "batch_size": 128, "optimizer": "adagrad", "lr": null, "weight_decay": 0.0, '
        '"embedding_decay": null, "eps": null, "precision": "float32", "sparse_embeddings": false, '
        '"schedule": "cosine", "plateau_factor": 0.1, "warmup": 0.05, "clip_norm": 1.0, "eval_every": null, '
        '"monitor": "log_loss", "patience": null, "log_every": 50, "eval_batch_size": 4096}'
    )
    data = json.dumps({part: getattr(splits, part).sha256 for part in ("train", "valid", "test")})
    space = json.dumps(SPACE.to_dict())
    start = f'{{"space": {space}, "data": {data}, "embedding_dim": 8, "config": {config}'

    def text(recipe: TrainingRecipe) -> str:
        return json.dumps(identity_of(SPACE, splits, 8, recipe))

    assert text(RECIPE) == text(RECIPE.with_seed(6)) == start + "}"
    both = TrainingRecipe(RECIPE.config, embedding_std=1e-3, dropout=0.25)
    assert text(both) == start + ', "embedding_std": 0.001, "dropout": 0.25}'


def test_what_is_missing_is_trained_with_consecutive_seeds(splits: Splits[ClickLog], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    genotypes = [SPACE.sample(rng) for _ in range(2)]
    path, identity = tmp_path / "truth.jsonl", identity_of(SPACE, splits, 8, RECIPE)
    with TableFile(path, identity) as file:
        train_missing(genotypes[:1], splits, 8, RECIPE, file)
        train_missing(genotypes, splits, 8, RECIPE, file, seeds=2)
    table = Table.load(path)
    assert [(entry.genotype, entry.seed) for entry in table.entries] == [
        (genotypes[0], 5), (genotypes[0], 6), (genotypes[1], 5), (genotypes[1], 6),
    ]  # fmt: skip
    assert [rows for rows, _, _ in table.entries[0].curve] == [2 * 128]
    again = train_entry(genotypes[1], splits, 8, RECIPE.with_seed(6))
    assert again.valid == table.query(genotypes[1], 6).valid and again.test == table.query(genotypes[1], 6).test


def test_embedding_std_and_dropout_reach_the_model(splits: Splits[ClickLog]) -> None:
    genotype = SPACE.sample(np.random.default_rng(0))
    plain = train_entry(genotype, splits, 8, RECIPE).valid.log_loss
    others = [TrainingRecipe(RECIPE.config, embedding_std=1.0), TrainingRecipe(RECIPE.config, dropout=0.9)]
    losses = [train_entry(genotype, splits, 8, recipe).valid.log_loss for recipe in others]
    assert len({plain, *losses}) == 3
