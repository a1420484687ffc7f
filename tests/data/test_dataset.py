"""Logs in memory: validation, splits, batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nasrec.data import ClickLog, Schema
from nasrec.errors import DataError
from nasrec.features import FeatureSpec

SCHEMA = Schema(("d",), ("a", "b"), (1_000, 3))


def log_of(rows: int, clicks: float = 0.3) -> ClickLog:
    """Column a is the row number, so that rows can be followed."""
    numbers = np.arange(rows, dtype=np.int32)
    label = (np.random.default_rng(0).random(rows) < clicks).astype(np.float32)
    sparse = np.stack([numbers, numbers % 3], axis=1)
    return ClickLog(SCHEMA, numbers[:, None].astype(np.float32), sparse, label, "made up")


def test_features() -> None:
    assert log_of(10).features(8) == FeatureSpec(1, (1_000, 3), 8)
    assert log_of(10).features() == FeatureSpec(1, (1_000, 3), 16)


@pytest.mark.parametrize("by", ["random", "time"])
def test_split_is_a_partition_in_row_order(by) -> None:
    log = log_of(1_000)
    parts = [part.sparse[:, 0] for part in log.split(by=by)]
    assert [len(part) for part in parts] == [800, 100, 100]
    assert all((np.diff(part) > 0).all() for part in parts)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(1_000))
    if by == "time":
        np.testing.assert_array_equal(np.concatenate(parts), np.arange(1_000))


def test_split_keeps_the_click_rate_and_follows_the_seed() -> None:
    log = log_of(1_000)
    for part in log.split():
        assert part.label.sum() == pytest.approx(len(part) * log.click_rate, abs=1)
    np.testing.assert_array_equal(log.split(seed=4).test.sparse, log.split(seed=4).test.sparse)
    assert not np.array_equal(log.split(seed=4).test.sparse, log.split(seed=5).test.sparse)
    assert [len(part) for part in log.split(fractions=(2, 1, 1))] == [500, 250, 250]


def test_split_of_too_few_rows() -> None:
    with pytest.raises(DataError, match=r"made up: the (valid|test) part would hold \d rows with 0 clicks"):
        log_of(12).split()
    with pytest.raises(DataError, match="split order 'size' is unknown"):
        log_of(100).split(by="size")


def test_batches_in_order() -> None:
    log = log_of(10)
    batches = list(log.batches(4))
    assert [len(label) for _, _, label in batches] == [4, 4, 2]
    dense, sparse, label = (torch.cat(column) for column in zip(*batches, strict=True))
    assert dense.dtype == torch.float32 and sparse.dtype == torch.int64 and label.dtype == torch.float32
    np.testing.assert_array_equal(sparse.numpy(), log.sparse)
    np.testing.assert_array_equal(dense.numpy(), log.dense)
    np.testing.assert_array_equal(label.numpy(), log.label)


def test_shuffled_batches_follow_seed_and_epoch_and_keep_rows_together() -> None:
    log = log_of(100)

    def order(seed: int, epoch: int) -> list[int]:
        rows = []
        for dense, sparse, label in log.batches(7, shuffle=True, seed=seed, epoch=epoch):
            assert torch.equal(dense[:, 0], sparse[:, 0].float())
            np.testing.assert_array_equal(label.numpy(), log.label[sparse[:, 0].numpy()])
            rows += sparse[:, 0].tolist()
        return rows

    assert sorted(order(0, 0)) == list(range(100)) != order(0, 0)
    assert order(0, 0) == order(0, 0)
    assert len({tuple(order(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}) == 4


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("dense", np.zeros((4, 2), np.float32), r"dense is float32 \[4, 2\], expected float32 \[4, 1\]"),
        ("dense", np.zeros((4, 1)), "dense is float64"),
        ("dense", np.full((4, 1), np.nan, np.float32), "dense column 'd', row 0 is not finite"),
        ("sparse", np.full((4, 2), 3, np.int32), "column 'b' has ids 3 to 3, its cardinality 3 allows 0 to 2"),
        ("sparse", np.full((4, 2), -1, np.int32), "column 'a' has ids -1 to -1"),
        ("label", np.full(4, 0.5, np.float32), "labels must be 0 or 1"),
        ("true_logits", np.zeros(3, np.float32), "true_logits is"),
    ],
)
def test_bad_logs(field, value, message) -> None:
    good = log_of(4)
    fields = {name: getattr(good, name) for name in ("schema", "dense", "sparse", "label", "source")}
    with pytest.raises(DataError, match=f"made up: {message}"):
        ClickLog(**(fields | {field: value}))


def test_no_rows_and_bad_schemas() -> None:
    with pytest.raises(DataError, match="no rows"):
        log_of(4).take([])
    with pytest.raises(DataError, match="2 categorical names but 1 cardinalities"):
        Schema((), ("a", "b"), (3,))
    with pytest.raises(DataError, match="at least 1"):
        Schema((), ("a",), (0,))
