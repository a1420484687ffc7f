"""What users pass to an estimator, checked: features as a DataFrame, a target as 0 and 1, weights of rows.

Messages follow scikit-learn's, whose tools look for them.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasrec.errors import DataError, EstimatorError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Features", "Target", "read_features", "read_like", "read_target", "read_weights"]


@dataclass(frozen=True)
class Features:
    """Rows by named columns; arrays get the names x0, x1, ... and `named` is False."""

    frame: pd.DataFrame
    names: tuple[str, ...]
    named: bool


@dataclass(frozen=True)
class Target:
    """The classes that a target has, in order, and of each row which one."""

    classes: NDArray[Any]
    codes: NDArray[np.int64]


def read_features(X: Any) -> Features:
    """Features of any form that has rows and columns. Raises `EstimatorError`."""
    import pandas as pd

    from nasrec.data.infer import check_frame

    if hasattr(X, "to_pandas") and not isinstance(X, pd.DataFrame):  # polars, Arrow
        X = X.to_pandas()
    if not isinstance(X, pd.DataFrame):
        frame = _frame_of_array(X)
        return Features(frame, tuple(frame.columns), False)
    _require_content(X.shape)
    try:
        names = check_frame(X)
    except DataError as failure:
        raise EstimatorError(str(failure)) from None
    named = all(isinstance(name, str) for name in X.columns)
    return Features(X if named else X.set_axis(names, axis=1), tuple(names), named)


def read_like(X: Any, names: tuple[str, ...], named: bool, owner: str) -> pd.DataFrame:
    """New rows for an estimator that was fitted to columns `names`, which had these names from the start (`named`) or
    were numbered. Columns without names count by position."""
    found = read_features(X)
    if found.named and named:
        return found.frame
    if len(found.names) != len(names):
        raise EstimatorError(
            f"X has {len(found.names)} features, but {owner} is expecting {len(names)} features as input"
        )
    if found.named != named:
        now, was = ("has", "without") if found.named else ("does not have valid", "with")
        warnings.warn(f"X {now} feature names, but {owner} was fitted {was} feature names", stacklevel=3)
    return found.frame.set_axis(list(names), axis=1)


def read_target(y: Any, rows: int) -> Target:
    """A target of two classes, of any type that can be sorted. Raises `EstimatorError`."""
    import pandas as pd

    if y is None:
        raise EstimatorError("CTRClassifier requires y to be passed, but the target y is None")
    values = y.to_numpy() if hasattr(y, "to_numpy") else np.asarray(y)
    if values.ndim == 2 and values.shape[1] == 1:
        warnings.warn(
            "A column-vector y was passed when a 1d array was expected; y is taken as y.ravel()", _conversion(), 3
        )
        values = values.ravel()
    if values.ndim != 1:
        raise EstimatorError(f"y should be a 1d array, got an array of shape {values.shape} instead")
    _require_rows("y", len(values), rows)
    if pd.isna(values).any():
        raise EstimatorError("Input y contains NaN")
    if values.dtype == object:
        values = pd.Series(values).infer_objects().to_numpy()
    if values.dtype.kind == "f" and not (np.isfinite(values) & (values % 1 == 0)).all():
        raise EstimatorError("Unknown label type: continuous; a classifier needs a target of two classes")
    if values.dtype.kind not in "biufUO":
        raise EstimatorError(f"Unknown label type: {values.dtype}; a classifier needs a target of two classes")
    try:
        classes, codes = np.unique(values, return_inverse=True)
    except TypeError:
        raise EstimatorError("y mixes types that cannot be compared; give two classes of one type") from None
    return Target(classes, codes.astype(np.int64))


def require_two_classes(target: Target, codes: NDArray[np.int64]) -> None:
    """Raises `EstimatorError` unless there are two classes, and two rows of each among `codes`."""
    if len(target.classes) > 2:
        raise EstimatorError(
            "Only binary classification is supported. The type of the target is multiclass: it has "
            f"{len(target.classes)} classes"
        )
    counts = np.bincount(codes, minlength=len(target.classes))
    if (counts > 0).sum() < 2:
        raise EstimatorError(f"y holds one class in {len(codes)} rows; learning needs two classes")
    if counts.min() < 2:
        raise EstimatorError(
            f"class {target.classes[counts.argmin()]!r} has 1 sample; two are needed, to train and to validate"
        )


def read_weights(sample_weight: Any, rows: int) -> NDArray[np.float64] | None:
    """Weights of rows, 0 or more; None where all are equal, which says nothing. Raises `EstimatorError`."""
    if sample_weight is None:
        return None
    try:
        weights = np.array(sample_weight, dtype=np.float64)
    except (TypeError, ValueError):
        raise EstimatorError("sample_weight must be numbers, one a row") from None
    if weights.ndim == 0:
        weights = np.full(rows, float(weights))
    if weights.ndim != 1:
        raise EstimatorError(f"Sample weights must be 1D array or scalar, got an array of shape {weights.shape}")
    _require_rows("sample_weight", len(weights), rows)
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise EstimatorError("sample_weight must be finite and not negative")
    if not weights.any():
        raise EstimatorError("sample_weight is zero in every row; at least some rows must count")
    return None if (weights == weights[0]).all() else weights


def _frame_of_array(X: Any) -> pd.DataFrame:
    import pandas as pd

    if hasattr(X, "tocsr"):
        raise EstimatorError("Sparse data was passed for X, but dense data is required. Use '.toarray()' to convert it")
    values = np.asarray(X)
    if np.iscomplexobj(values):
        raise EstimatorError("Complex data not supported: X holds complex numbers")
    if values.ndim != 2:
        raise EstimatorError(
            f"Expected 2D array, got {'scalar' if values.ndim == 0 else f'{values.ndim}D'} array instead. Reshape your "
            "data either using array.reshape(-1, 1) if your data has a single feature or array.reshape(1, -1) if it "
            "contains a single sample"
        )
    _require_content(values.shape)
    frame = pd.DataFrame(values, columns=[f"x{j}" for j in range(values.shape[1])])
    return frame.infer_objects() if values.dtype == object else frame


def _require_content(shape: tuple[int, ...]) -> None:
    for count, what in zip(shape, ("sample", "feature"), strict=True):
        if count == 0:
            raise EstimatorError(f"Found array with 0 {what}(s) (shape={shape}) while a minimum of 1 is required.")


def _require_rows(name: str, found: int, rows: int) -> None:
    if found != rows:
        raise EstimatorError(f"Found input variables with inconsistent numbers of samples: X {rows}, {name} {found}")


def _conversion() -> type[Warning]:
    try:
        from sklearn.exceptions import DataConversionWarning
    except ImportError:
        return UserWarning
    return DataConversionWarning  # type: ignore[no-any-return]
