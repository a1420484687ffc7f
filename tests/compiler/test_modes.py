"""States of a model end with their block, also after an error."""

from __future__ import annotations

from contextlib import suppress

import pytest
from torch import nn

from nasrec.compiler.modes import evaluating, temporarily_set


@pytest.mark.parametrize("training", [True, False])
def test_evaluating(training: bool) -> None:
    model = nn.Sequential(nn.Dropout(0.5)).train(training)
    with suppress(KeyError), evaluating(model):
        assert not model.training and not model[0].training
        raise KeyError
    assert model.training is training and model[0].training is training


def test_switched() -> None:
    tables = [nn.Embedding(2, 3, sparse=sparse) for sparse in (False, True)]
    with suppress(KeyError), temporarily_set(tables, "sparse"):
        assert all(table.sparse for table in tables)
        raise KeyError
    assert [table.sparse for table in tables] == [False, True]
