"""scikit-learn's own tools and checks."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone, is_classifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import estimator_checks_generator

from nasrec import CTRClassifier
from tests.estimator.conftest import QUICK

EXPECTED_FAILURES = {
    "check_sample_weight_equivalence_on_dense_data": "training in shuffled batches with a validation split: a row of "
    "weight two is not the same as two rows",
}
LEFT_OUT = ("check_array_api_input",)
"""It passes arrays of NumPy as other checks do, but only where SciPy was told of the array API before it was loaded."""


def name_of(check: Any) -> str:
    return name_of(check.func) if isinstance(check, functools.partial) else check.__name__


def checks() -> Iterator[Any]:
    for number, (estimator, check) in enumerate(estimator_checks_generator(CTRClassifier("dlrm", embedding_dim=4))):
        name = name_of(check)
        if name not in LEFT_OUT:
            reason = EXPECTED_FAILURES.get(name)
            marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
            yield pytest.param(estimator, check, id=f"{number}-{name}", marks=marks)


with warnings.catch_warnings():
    # It follows the conventions without the base class, which would make scikit-learn a must.
    warnings.filterwarnings("ignore", message="Estimator CTRClassifier does not inherit")
    CHECKS = list(checks())


@pytest.mark.parametrize(("estimator", "check"), CHECKS)
def test_checks(estimator, check) -> None:
    check(estimator)


def test_tools(frame, target) -> None:
    model = CTRClassifier("logistic_regression", **QUICK)
    assert is_classifier(model) and clone(model).get_params() == model.get_params()
    scores = cross_val_score(model, frame, target, cv=3, scoring="roc_auc")
    assert len(scores) == 3 and scores.min() > 0.75
    search = GridSearchCV(model, {"lr": np.array([0.001, 0.2])}, cv=2, scoring="neg_log_loss").fit(frame, target)
    assert search.best_params_ == {"lr": 0.2} and search.classes_.tolist() == [0, 1]


def test_pipeline(frame, target) -> None:
    pipeline = make_pipeline(FunctionTransformer(lambda rows: rows.assign(cheap=rows["price"] < 0)),
                             CTRClassifier("dlrm", **QUICK))  # fmt: skip
    weights = np.linspace(0.5, 1.5, len(frame))
    pipeline.fit(frame, target, ctrclassifier__sample_weight=weights)
    assert pipeline.score(frame, target) > 0.75 and "cheap" in pipeline[-1].columns_.categorical
