"""A small synthetic log, and a space whose supernet trains on it in seconds."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nasrec import SearchSpace, Supernet
from nasrec.data import Splits, SyntheticLog, synthesize

SPACE = SearchSpace.full(2, dense_dims=(16, 32), sparse_dims=(16,), max_gate_inputs=1)


@pytest.fixture(scope="session")
def synthetic() -> SyntheticLog:
    return synthesize("criteo", 12_000, seed=2, max_cardinality=20)


@pytest.fixture(scope="session")
def splits(synthetic: SyntheticLog) -> Splits:
    return synthetic.log.split()


@pytest.fixture
def make_net(splits: Splits) -> Callable[..., Supernet]:
    """`make_net(seed)`: an untrained supernet over the synthetic log's columns."""

    def make(seed: int = 0, space: SearchSpace = SPACE, masking: str = "sliced") -> Supernet:
        return Supernet(space, splits.schema.features(8), masking=masking, seed=seed)  # type: ignore[arg-type]

    return make
