"""A supernet on the real Frappe rows, where there are such."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import nasrec.data
from nasrec import SearchSpace, Supernet
from nasrec.data import Options, Splits, prepare
from nasrec.supernet import FinetuneConfig, Scorer, train
from nasrec.train import TrainConfig


@pytest.fixture
def frappe(tmp_path: Path) -> Splits:
    folder = Path(os.environ.get("NASREC_DATA", ""))
    files = [folder / f"frappe_x1_{part}.csv.gz" for part in ("train", "valid", "test")]
    if "NASREC_DATA" not in os.environ or not all(file.exists() for file in files):
        pytest.skip("NASREC_DATA names no folder with Frappe's files")
    prepare(files, tmp_path / "frappe", dataset="frappe", options=Options(split="given"))
    return nasrec.data.open(tmp_path / "frappe").splits()


@pytest.mark.slow
def test_shared_weights_score_real_clicks(frappe: Splits) -> None:
    space = SearchSpace.small(2, dense_dims=(32, 64), sparse_dims=(16,))
    net, untrained = (Supernet(space, frappe.schema.features(8), masking="sliced", seed=0) for _ in range(2))
    result = train(net, frappe.train, frappe.valid, TrainConfig(lr=0.12, batch_size=512))
    losses = [point.loss for point in result.history]
    assert losses[-1] < 0.6 * losses[0]
    tuned = Scorer(net, frappe.valid, train_log=frappe.train, tuning=FinetuneConfig(steps=100), most_rows=20_000)
    plain, before = (Scorer(each, frappe.valid, most_rows=20_000) for each in (net, untrained))
    for seed in range(2):
        genotype = space.sample(np.random.default_rng(seed), operators="single", counts="binomial")
        metrics = plain(genotype)
        assert metrics.auc > max(0.9, before(genotype).auc + 0.2) and metrics.normalised_entropy < 0.7
        assert tuned(genotype).log_loss < metrics.log_loss + 0.01
