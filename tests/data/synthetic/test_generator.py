"""Synthetic logs: the shape of the originals, a teacher that is a true ceiling, and a way through the raw reader."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nasrec.data import load_logs, synthesize, teacher_score, write_criteo_tsv
from nasrec.data.formats import FORMATS
from nasrec.data.synthetic.profiles import PROFILES
from nasrec.errors import DataError

SHAPES = {"criteo": (13, 26, 0.256), "avazu": (0, 23, 0.170), "kdd": (3, 10, 0.0445), "frappe": (0, 10, 1 / 3)}


@pytest.mark.parametrize("kind", list(SHAPES))
@pytest.mark.parametrize("seed", [0, 1])
def test_looks_like_the_original(kind, seed) -> None:
    num_dense, num_sparse, click_rate = SHAPES[kind]
    synthetic = synthesize(kind, 30_000, seed)
    log = synthetic.log
    assert (log.schema.num_dense, log.schema.num_sparse) == (num_dense, num_sparse)
    assert log.click_rate == pytest.approx(click_rate, rel=0.06)
    for rows, column in zip(log.schema.cardinalities, PROFILES[kind].sparse, strict=True):
        assert rows == min(1000, column.cardinality + 1)
    for j, column in enumerate(PROFILES[kind].sparse):
        assert (log.sparse[:, j] == 0).mean() == pytest.approx(column.missing, abs=0.02)
        counts = np.bincount(log.sparse[:, j], minlength=3)
        assert counts[1] > counts[2:].max()  # ids in order of popularity
    for j, column in enumerate(PROFILES[kind].dense):
        missing = np.isnan(synthetic.counts[:, j])
        assert missing.mean() == pytest.approx(column.missing, abs=0.02)
        given = synthetic.counts[~missing, j]
        assert (given == np.round(given)).all() and np.mean(given) > np.median(given)  # counts, with a long tail
        assert (given.min() < 0) == (column.negative > 0)


def test_reader_and_twin_agree_on_column_names() -> None:
    assert tuple(column.name for column in PROFILES["criteo"].sparse) == FORMATS["criteo"].sparse
    assert tuple(column.name for column in PROFILES["criteo"].dense) == FORMATS["criteo"].dense
    assert tuple(column.name for column in PROFILES["frappe"].sparse) == FORMATS["frappe"].sparse
    avazu = ("hour_of_day", "weekday", *(name for name in FORMATS["avazu"].sparse if name != "hour"))
    assert tuple(column.name for column in PROFILES["avazu"].sparse) == avazu


def test_deterministic_by_seed() -> None:
    one, two, other = (synthesize("kdd", 2_000, seed).log for seed in (5, 5, 6))
    assert all(np.array_equal(getattr(one, name), getattr(two, name)) for name in ("dense", "sparse", "label"))
    assert not np.array_equal(one.sparse, other.sparse)


def test_teacher_is_the_same_for_any_number_of_rows() -> None:
    """Rows that fall together get the same probability of a click."""
    small, large = (synthesize("frappe", rows, 0, max_cardinality=8).log for rows in (3_000, 9_000))
    known = {row.tobytes(): logit for row, logit in zip(large.sparse, large.true_logits, strict=True)}
    both = [
        (logit, known[row.tobytes()])
        for row, logit in zip(small.sparse, small.true_logits, strict=True)
        if row.tobytes() in known
    ]
    assert len(both) > 100
    np.testing.assert_allclose(*zip(*both, strict=True), rtol=1e-5)


@pytest.mark.parametrize("kind", list(SHAPES))
def test_labels_follow_the_teacher(kind) -> None:
    """The realised log loss is the entropy of the teacher's own probabilities, up to noise; AUC has headroom."""
    synthetic = synthesize(kind, 40_000, 2)
    p = 1 / (1 + np.exp(-synthetic.log.true_logits.astype(np.float64)))
    entropy = -(p * np.log(p) + (1 - p) * np.log1p(-p))
    noise = math.sqrt(np.mean(p * (1 - p) * np.log(p / (1 - p)) ** 2) / len(p))
    assert synthetic.teacher_score.log_loss == pytest.approx(entropy.mean(), abs=4 * noise)
    assert synthetic.teacher_score.calibration == pytest.approx(1, abs=0.06)
    assert 0.8 < synthetic.teacher_score.auc < 0.93
    train, _, test = synthetic.log.split()
    assert teacher_score(test).log_loss == pytest.approx(synthetic.teacher_score.log_loss, abs=0.03)
    assert teacher_score(test).rows == len(test) and len(train) == 32_000


def test_through_a_raw_file_and_back(tmp_path) -> None:
    synthetic = synthesize("criteo", 3_000, 1, max_cardinality=50)
    for name in ("twin.txt", "twin.txt.gz"):
        write_criteo_tsv(synthetic, tmp_path / name)
        splits = load_logs(tmp_path / name, split="time", min_count=1)
        np.testing.assert_allclose(np.concatenate([log.dense for log in splits]), synthetic.log.dense, rtol=1e-6)
        np.testing.assert_array_equal(np.concatenate([log.label for log in splits]), synthetic.log.label)
        # Ids are the same up to renaming, and 0 stays 0.
        for j in range(26):
            pairs = set(zip(splits.train.sparse[:, j].tolist(), synthetic.log.sparse[:2_400, j].tolist(), strict=True))
            assert len({new for new, _ in pairs}) == len({old for _, old in pairs}) == len(pairs)
            assert all((new == 0) == (old == 0) for new, old in pairs)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["twin.txt", "twin.txt.gz"]
    assert (tmp_path / "twin.txt").read_text().splitlines()[0].count("\t") == 39


def test_only_a_criteo_twin_has_criteo_columns(tmp_path) -> None:
    with pytest.raises(DataError, match="only a synthetic Criteo log"):
        write_criteo_tsv(synthesize("kdd", 100), tmp_path / "twin.txt")
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_is_a_data_error(tmp_path) -> None:
    with pytest.raises(DataError, match="cannot be written"):
        write_criteo_tsv(synthesize("criteo", 100), tmp_path / "nowhere" / "twin.txt")


def test_no_ceiling_for_real_rows(tmp_path) -> None:
    write_criteo_tsv(synthesize("criteo", 300), tmp_path / "log.txt")
    with pytest.raises(DataError, match="only synthetic logs have a teacher"):
        teacher_score(load_logs(tmp_path / "log.txt").test)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "movielens"}, "kind 'movielens' is unknown; synthetic logs are made of criteo, avazu, kdd, frappe"),
        ({"rows": 0}, "rows must be at least 1"),
        ({"max_cardinality": 2}, "max_cardinality must be at least 8"),
        ({"seed": -1}, "seed must be at least 0"),
    ],
)
def test_bad_arguments(arguments, message) -> None:
    with pytest.raises(DataError, match=message):
        synthesize(**arguments)
