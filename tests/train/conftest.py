"""Tiny models of plain torch, and the log that they learn from."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

from nasrec.data import ClickLog, Schema, Splits, SyntheticLog, synthesize


class LogisticRegression(nn.Module):
    """One weight for every id and every dense column; all tables in one, behind offsets."""

    def __init__(self, schema: Schema) -> None:
        super().__init__()
        starts = [0, *itertools.accumulate(schema.cardinalities)]
        self.register_buffer("starts", torch.tensor(starts[:-1]))
        self.ids = nn.Embedding(starts[-1], 1)
        nn.init.zeros_(self.ids.weight)
        self.dense = nn.Parameter(torch.zeros(schema.num_dense))
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
        return self.bias + dense @ self.dense + self.ids(sparse + self.starts).sum((1, 2))


class FactorisationMachine(LogisticRegression):
    """The same, and the inner products of all pairs of columns' latent vectors."""

    def __init__(self, schema: Schema, channels: int = 8) -> None:
        super().__init__(schema)
        self.id_vectors = nn.Embedding(self.ids.num_embeddings, channels)
        nn.init.normal_(self.id_vectors.weight, std=0.1)
        self.dense_vectors = nn.Parameter(0.1 * torch.randn(schema.num_dense, channels))

    def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
        rows = torch.cat([self.id_vectors(sparse + self.starts), dense[:, :, None] * self.dense_vectors], dim=1)
        pairs = rows.sum(1).square() - rows.square().sum(1)
        return super().forward(dense, sparse) + 0.5 * pairs.sum(1)


@pytest.fixture(scope="session")
def small_twin() -> SyntheticLog:
    return synthesize("criteo", 6_000, seed=2, max_cardinality=20)


@pytest.fixture
def small(small_twin: SyntheticLog) -> Splits:
    return small_twin.log.split()


@pytest.fixture
def log(small: Splits) -> ClickLog:
    return small.train


@pytest.fixture
def make_lr() -> type[LogisticRegression]:
    return LogisticRegression


@pytest.fixture
def make_fm() -> type[FactorisationMachine]:
    return FactorisationMachine
