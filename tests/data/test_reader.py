"""Batches: every row once, in an order that the seed names, shared out among ranks, resumable at any batch."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import nasrec.data
from nasrec.data import ClickLog, Log, Options, Schema
from nasrec.data.order import order_of
from nasrec.data.synthetic.prepared import prepare_synthetic
from nasrec.errors import DataError


def log_of(rows: int, weighted: bool = False) -> ClickLog:
    """Column a is the row number, so that rows can be followed."""
    numbers = np.arange(rows, dtype=np.int32)
    label = (np.random.default_rng(0).random(rows) < 0.3).astype(np.float32)
    weight = (1 + numbers).astype(np.float32) if weighted else None
    schema = Schema(("d",), ("a",), (rows,))
    return ClickLog(schema, numbers[:, None].astype(np.float32), numbers[:, None], label, "made up", weight=weight)


def rows_of(batches: object) -> list[list[int]]:
    return [batch[1][:, 0].tolist() for batch in batches]


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory) -> nasrec.data.Prepared:
    """Three shards in each part."""
    folder = tmp_path_factory.mktemp("twin") / "criteo"
    prepare_synthetic("criteo", 300_000, folder, seed=3)
    return nasrec.data.open(folder)


@pytest.mark.parametrize("shuffle", ["none", "exact", "block"])
@pytest.mark.parametrize("rows", [1, 10, 5_000, 300_001])
def test_every_row_once(shuffle, rows) -> None:
    reader = log_of(rows).reader(97, shuffle=shuffle, seed=4)
    for epoch in range(2):
        found = rows_of(reader.epoch())
        assert len(found) == len(reader) == -(-rows // 97)
        assert sorted(row for batch in found for row in batch) == list(range(rows))
        assert reader.epoch_number == epoch + 1


@pytest.mark.parametrize("shuffle", ["exact", "block"])
def test_seed_and_epoch_make_the_order(shuffle) -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return order_of(shuffle, 20_000, seed, epoch)(np.arange(20_000)).tolist()

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1) and order(0, 0) != order(1, 0)


def test_windows_mix_places_of_the_whole_part() -> None:
    rows = 3_000_000
    found = order_of("block", rows, 0, 0)(np.arange(512))
    assert len(np.unique(found // 4096)) > 50  # of the 64 blocks of a window
    assert found.min() < rows / 10 and found.max() > rows * 9 / 10


@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
@pytest.mark.parametrize("rows", [8, 9, 63, 64, 65, 1000, 1003])
@pytest.mark.parametrize("shuffle", ["none", "exact", "block"])
def test_ranks_share_an_epoch(world_size, rows, shuffle) -> None:
    readers = [log_of(rows).reader(8, shuffle=shuffle, rank=rank, world_size=world_size) for rank in range(world_size)]
    shares = [rows_of(reader.epoch()) for reader in readers]
    assert len({len(share) for share in shares}) == 1 and all(all(share[:-1]) for share in shares)
    assert sorted(row for share in shares for batch in share for row in batch) == list(range(rows))


@pytest.mark.parametrize("rows", [960, 961, 1000])
def test_ranks_together_read_what_one_rank_reads(rows) -> None:
    """Of 961 rows one is left for the last batch: the second rank has none there."""
    one = rows_of(log_of(rows).reader(32, seed=7).epoch())
    two = [rows_of(log_of(rows).reader(16, seed=7, rank=rank, world_size=2).epoch()) for rank in (0, 1)]
    assert one == [left + right for left, right in zip(*two, strict=True)]


@pytest.mark.parametrize("shuffle", ["none", "exact", "block"])
@pytest.mark.parametrize("stop", [0, 1, 5, 31, 32, 40])
def test_goes_on_at_the_very_batch(shuffle, stop) -> None:
    log = log_of(1000)
    reader = log.reader(32, shuffle=shuffle, seed=1)
    stream = (batch for _ in range(3) for batch in reader.epoch())
    for _ in range(stop):
        next(stream)
    state = json.loads(json.dumps(reader.state_dict()))
    rest = rows_of(next(stream) for _ in range(20))
    again = log.reader(32, shuffle=shuffle, seed=1)
    again.load_state_dict(state)
    assert again.state_dict() == state
    stream = (batch for _ in range(3) for batch in again.epoch())
    assert rows_of(next(stream) for _ in range(20)) == rest


def test_a_state_fits_only_its_own_run() -> None:
    state = log_of(1000).reader(32, seed=1).state_dict()
    others: list[Callable[[], nasrec.data.Reader]] = [
        lambda: log_of(999).reader(32, seed=1),
        lambda: log_of(1000).reader(33, seed=1),
        lambda: log_of(1000).reader(32, seed=2),
        lambda: log_of(1000).reader(32, seed=1, shuffle="block"),
    ]
    for other, word in zip(others, ("data", "global_batch", "seed", "shuffle"), strict=True):
        with pytest.raises(DataError, match=f"state does not fit: {word} was"):
            other().load_state_dict(state)
    log_of(1000).reader(16, seed=1, rank=1, world_size=2).load_state_dict(state)  # other ranks, the same steps
    for damage in ({"position": 32}, {"position": -1}, {"epoch": None}):
        with pytest.raises(DataError, match="damaged"):
            log_of(1000).reader(32, seed=1).load_state_dict(state | damage)
    with pytest.raises(DataError, match="does not fit"):
        log_of(1000).reader(32).load_state_dict({})


def test_arguments() -> None:
    log = log_of(10)
    for arguments, message in (
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"batch_size": 1, "shuffle": "twice"}, "shuffle 'twice' is unknown"),
        ({"batch_size": 1, "rank": 2, "world_size": 2}, "rank 2 of 2 is no rank"),
        ({"batch_size": 1, "rank": 0, "world_size": 11}, "10 rows are too few for 11 ranks"),
    ):
        with pytest.raises(DataError, match=message):
            log.reader(**arguments)


def test_weights_come_along_or_are_refused() -> None:
    log = log_of(100, weighted=True)
    with pytest.raises(DataError, match="rows carry weights"):
        log.batches(10)
    for _, sparse, _, weight in log.reader(10).epoch():
        assert weight.dtype == torch.float32
        np.testing.assert_array_equal(weight, 1 + sparse[:, 0])


def test_disk_and_memory_give_the_same_batches(on_disk) -> None:
    assert len(on_disk.train.part.files) == 3
    for log, copy in zip(on_disk, on_disk.load(), strict=True):
        assert isinstance(log, Log) and len(log) == len(copy) and log.click_rate == pytest.approx(copy.click_rate)
        for shuffle in (False, True):
            for one, two in zip(
                log.batches(5000, shuffle=shuffle, epoch=1), copy.batches(5000, shuffle=shuffle, epoch=1), strict=True
            ):
                assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(one, two, strict=True))
    assert [column.dtype for column in one] == [torch.float32, torch.int64, torch.float32]


def test_fetch_takes_any_rows_in_any_order(on_disk) -> None:
    log, copy = on_disk.train, on_disk.load().train
    rng = np.random.default_rng(0)
    for rows in (
        rng.integers(len(log), size=1000),
        np.arange(104_800, 104_900),
        np.array([5, 5, 0]),
        np.array([], int),
    ):
        found = log.fetch(rows)
        np.testing.assert_array_equal(found.sparse, copy.sparse[rows])
        np.testing.assert_array_equal(found.dense, copy.dense[rows])
    with pytest.raises(DataError, match="rows go from 0 to"):
        log.fetch(np.array([len(log)]))
    assert len(log.take(slice(None, None, 1000))) == -(-len(log) // 1000)


def test_weighted_rows_on_disk(tmp_path: Path) -> None:
    lines = [f"{i % 2},{i % 5},{1 + i}" for i in range(200)]
    (tmp_path / "log.csv").write_text("\n".join(["y,c,w", *lines]))
    (tmp_path / "schema.toml").write_text('label = "y"\ncategorical = ["c"]\nweight = "w"\n')
    out = tmp_path / "out"
    manifest = nasrec.data.prepare([tmp_path / "log.csv"], out, schema=tmp_path / "schema.toml", options=Options())
    assert sum(part.weight for part in manifest.parts.values()) == sum(range(1, 201))
    data = nasrec.data.open(out)
    assert data.train.weighted and data.train.take([0, 1]).weight is not None
    weights = sorted(w for log in data for batch in log.reader(16).epoch() for w in batch[3].tolist())
    assert weights == list(range(1, 201))
