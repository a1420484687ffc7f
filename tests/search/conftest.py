"""A small space and a quality that can be computed at once: searches in milliseconds."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import pytest

from nasrec import Genotype, SearchSpace


@pytest.fixture(scope="session")
def space() -> SearchSpace:
    return SearchSpace.small(3, dense_dims=(16, 32, 64, 128), sparse_dims=(16, 32))


def quality(genotype: Genotype) -> Mapping[str, float]:
    """Rewards wide dot-products and punishes connections: smooth enough for evolution to climb."""
    loss, macs = 1.0, 0.0
    for place, block in enumerate(genotype.blocks):
        loss -= 0.05 * ("dot_product" in block.operators) + 0.0005 * block.dense_width * (place + 1)
        loss += 0.02 * len(block.dense_inputs)
        macs += block.dense_width * len(block.dense_inputs) + 16 * block.sparse_width
    loss += 1e-9 * zlib.crc32(repr(genotype.blocks).encode()) / 2**32  # so that no two are equal
    return {"log_loss": loss, "macs": macs}
