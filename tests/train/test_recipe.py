from __future__ import annotations

import math
from typing import Any

import pytest

from nasrec.errors import TrainError
from nasrec.train import TrainConfig, TrainingRecipe


def test_defaults_and_seed() -> None:
    recipe = TrainingRecipe()
    assert (recipe.config, recipe.embedding_std, recipe.dropout) == (TrainConfig(), None, 0.0)
    assert recipe.with_seed(3) == TrainingRecipe(TrainConfig(seed=3)) != recipe


def test_whole_numbers_become_floats() -> None:
    """So that equal recipes are written in equal words."""
    recipe = TrainingRecipe(embedding_std=1, dropout=0)
    assert repr(recipe.embedding_std) == "1.0" and repr(recipe.dropout) == "0.0"


@pytest.mark.parametrize("wrong", [0, -1.0, math.nan, math.inf, True, "0.1"])
def test_embedding_std_is_positive(wrong: Any) -> None:
    with pytest.raises(TrainError, match=r"embedding_std must be a positive number, not "):
        TrainingRecipe(embedding_std=wrong)


@pytest.mark.parametrize("wrong", [-0.1, 1, 1.0, math.nan, None, False, "0.1"])
def test_dropout_is_a_probability_below_one(wrong: Any) -> None:
    with pytest.raises(TrainError, match=r"dropout must be a number from 0 to below 1, not "):
        TrainingRecipe(dropout=wrong)
