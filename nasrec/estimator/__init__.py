"""Click-through-rate models behind scikit-learn's conventions: a classifier of DataFrames."""

from __future__ import annotations

from nasrec.estimator.classifier import CTRClassifier

__all__ = ["CTRClassifier"]
