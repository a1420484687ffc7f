"""Clicks that depend on what a model can learn, in a frame of every kind of column."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nasrec import CTRClassifier


def clicks(rows: int = 600, seed: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    rng = np.random.default_rng(seed)
    user, price = rng.integers(0, 12, rows), rng.normal(0, 1, rows)
    logit = np.where(user % 3 == 0, 4.0, -2.0) + 2 * price
    frame = pd.DataFrame(
        {
            "user": np.where(rng.random(rows) < 0.05, None, np.char.add("u", user.astype(str))),
            "price": np.where(rng.random(rows) < 0.05, np.nan, price),
            "shop_id": rng.integers(0, 5, rows),
            "mobile": rng.random(rows) < 0.5,
        },
        index=rng.permutation(rows),
    )
    return frame, pd.Series(rng.random(rows) < 1 / (1 + np.exp(-logit)), frame.index, name="click").astype(int)


@pytest.fixture(scope="session")
def frame() -> pd.DataFrame:
    return clicks()[0]


@pytest.fixture(scope="session")
def target() -> pd.Series:
    return clicks()[1]


QUICK = {"embedding_dim": 4, "epochs": 8, "batch_size": 32}


@pytest.fixture(scope="session")
def fitted(frame: pd.DataFrame, target: pd.Series) -> CTRClassifier:
    return CTRClassifier("dlrm", **QUICK).fit(frame, target)
