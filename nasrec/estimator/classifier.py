"""`CTRClassifier`: scikit-learn's interface to models that are chosen, trained and compiled."""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasrec.errors import DataError, EstimatorError
from nasrec.estimator import saved
from nasrec.estimator.inputs import read_features, read_like, read_target, read_weights
from nasrec.estimator.saved import State

if TYPE_CHECKING:
    import pandas as pd

    from nasrec.genotype import Genotype

__all__ = ["CTRClassifier"]


class CTRClassifier:
    """A click-through-rate model of a DataFrame, chosen and trained in one call.

        from nasrec import CTRClassifier

        model = CTRClassifier(time_limit_s=300)           # baselines, then a search; or model="dlrm"
        model.fit(clicks.drop(columns="click"), clicks["click"])
        print(model.leaderboard())
        click_probability = model.predict_proba(new_clicks)[:, 1]
        model.save("model")
        model = CTRClassifier.load("model")               # anywhere else; no code of the folder runs

    Columns may be numbers, texts, ids, categories or bools, with gaps; see `nasrec.data.infer_columns` for how they are
    told apart. Values that training did not see are known as such. It follows scikit-learn's conventions (`clone`,
    `Pipeline`, `cross_val_score`, ...) and needs no scikit-learn.

    Args:
        model: "auto": the best of baselines and of a search in `time_limit_s`, by log loss on validation rows; or the
            name of a baseline ("dlrm", "deepfm", "dcn_v2", ...) or preset, a `Genotype`, a graph, or a file of one.
        time_limit_s: no training begins that would go beyond, and trainings have fewer steps; None: 10 minutes for
            "auto", else no limit.
        embedding_dim: channels of an embedding.
        epochs: passes over the rows; None: one to four, more where there are fewer than 10,000 rows.
        batch_size: rows of a step; None: up to 512, fewer where there are few rows.
        lr: peak learning rate; None: the optimizer's usual one.
        optimizer: "adagrad", "adam" or "adamw".
        dense, categorical: columns that are so whatever they look like; names, or numbers of an array's columns.
        valid_fraction: of the rows, drawn within each class, that choose models and when to stop.
        seeds: trainings of each model, with seeds of their own; scores are means, the first one predicts.
        random_state: of the split and the first training; an int, a NumPy generator, or None for another one
            each time.
        folder: where runs go; each `fit` gets a folder of its own there, and an interrupted one goes on. None: a
            temporary folder that lasts as long as the estimator.
        device: "cpu", "cuda", or "auto" for a card where there is one; predictions are made on the CPU.
        verbose: show progress on standard error.

    Attributes:
        classes_: the two classes [2]; `predict_proba` has a column of each.
        n_features_in_: columns of X. `feature_names_in_`: their names, if all are texts.
        columns_: what the columns were taken for, `nasrec.data.Columns`.
        folder_: where the runs of the last `fit` are.
    """

    _estimator_type = "classifier"

    def __init__(
        self,
        model: str | os.PathLike[str] | Genotype | Any = "auto",
        *,
        time_limit_s: float | None = None,
        embedding_dim: int = 16,
        epochs: int | None = None,
        batch_size: int | None = None,
        lr: float | None = None,
        optimizer: str = "adagrad",
        dense: Sequence[str | int] | None = None,
        categorical: Sequence[str | int] | None = None,
        valid_fraction: float = 0.1,
        seeds: int = 1,
        random_state: Any = 0,
        folder: str | os.PathLike[str] | None = None,
        device: str = "auto",
        verbose: bool = False,
    ) -> None:
        self.model = model
        self.time_limit_s = time_limit_s
        self.embedding_dim = embedding_dim
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.optimizer = optimizer
        self.dense = dense
        self.categorical = categorical
        self.valid_fraction = valid_fraction
        self.seeds = seeds
        self.random_state = random_state
        self.folder = folder
        self.device = device
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> CTRClassifier:
        """Trains on rows.

        Args:
            X: a DataFrame, or anything with rows and columns [N, columns]; not changed.
            y: the target [N], of two classes; the second in order is a click.
            sample_weight: weights of the rows [N], 0 or more.

        Raises:
            EstimatorError: rows or parameters do not serve; it is a `ValueError` and a `DataError` too.
            NasrecError: a training fails, or a file cannot be written.
        """
        from nasrec.estimator import fitting

        features = read_features(X)
        target = read_target(y, len(features.frame))
        weights = read_weights(sample_weight, len(features.frame))
        try:
            found = fitting.fit(self.get_params(), features, target, weights)
        except DataError as failure:
            raise _estimator_error(failure) from None
        self._set(State(found.model, target.classes, features.names, features.named, found.columns, found.candidates,
                        found.chosen))  # fmt: skip
        self.folder_, self._scratch = found.folder, found.scratch
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probabilities of the two classes [N, 2], in the order of `classes_`; rows in the order of X.

        Raises:
            EstimatorError: it is not fitted, or X lacks a column or holds values of another kind.
        """
        state = self._fitted()
        frame = read_like(X, state.names, state.named, type(self).__name__)
        try:
            click = state.model.probabilities(frame)
        except DataError as failure:
            raise _estimator_error(failure) from None
        return np.stack([1 - click, click], axis=1)

    def predict(self, X: Any) -> NDArray[Any]:
        """The likelier class of each row [N]. Raises as `predict_proba`."""
        click = self.predict_proba(X)[:, 1]
        found: NDArray[Any] = self.classes_[(click > 0.5).astype(np.int64)]
        return found

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Share of rows whose class is predicted, as of any scikit-learn classifier.

        For log loss and AUC there are scorers: `cross_val_score(model, X, y, scoring="neg_log_loss")`.
        """
        right = self.predict(X) == np.asarray(y)
        return float(np.average(right, weights=sample_weight))

    def leaderboard(self) -> pd.DataFrame:
        """Models that were tried, the best first: `model`, `valid_log_loss`, `valid_auc`, `seconds`, `chosen`, `note`.

        Scores are those of the validation rows; a model that was not trained has none, and a note that says why.
        """
        import pandas as pd

        state = self._fitted()
        rows = [
            {"model": one.name, "valid_log_loss": one.log_loss, "valid_auc": one.auc, "seconds": one.seconds,
             "chosen": number == state.chosen, "note": one.note}
            for number, one in enumerate(state.candidates)
        ]  # fmt: skip
        table = pd.DataFrame(rows).astype({"valid_log_loss": float, "valid_auc": float})
        return table.sort_values("valid_log_loss", kind="stable", ignore_index=True)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a folder that `load` reads: graph, weights, vocabularies and parameters, all of them data.

        Raises:
            EstimatorError: it is not fitted, or the folder holds something else.
            NasrecError: a file cannot be written.
        """
        saved.save(Path(path), self.get_params(), self._fitted())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> CTRClassifier:
        """Reads what `save` wrote; nothing in the folder is run.

        Raises:
            NasrecError: a file is missing, damaged or of another version; one line that names it.
        """
        params, state = saved.load(Path(path), _PARAMETERS)
        found = cls(**params)
        found._set(state)
        return found

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Constructor arguments by name."""
        return {name: getattr(self, name) for name in _PARAMETERS}

    def set_params(self, **params: Any) -> CTRClassifier:
        """Sets constructor arguments. Raises `EstimatorError` on a name that is none."""
        for name, value in params.items():
            if name not in _PARAMETERS:
                raise EstimatorError(
                    f"Invalid parameter {name!r} for estimator {type(self).__name__}; valid parameters are: "
                    f"{', '.join(_PARAMETERS)}"
                )
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = {name: parameter.default for name, parameter in _PARAMETERS.items()}
        given = [f"{name}={value!r}" for name, value in self.get_params().items() if value is not defaults[name]]
        return f"{type(self).__name__}({', '.join(given)})"

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled: the model, not the temporary folder of its runs."""
        return {name: value for name, value in self.__dict__.items() if name != "_scratch"}

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_state")

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        return Tags(
            estimator_type="classifier",
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags(multi_class=False),
            input_tags=InputTags(allow_nan=True, string=True),
        )

    def _fitted(self) -> State:
        if not hasattr(self, "_state"):
            raise _not_fitted(type(self).__name__)
        return self._state

    def _set(self, state: State) -> None:
        self._state = state
        self.classes_, self.columns_ = state.classes, state.columns
        self.n_features_in_ = len(state.names)
        if state.named:
            self.feature_names_in_ = np.array(state.names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_


_PARAMETERS = {
    name: parameter
    for name, parameter in inspect.signature(CTRClassifier.__init__).parameters.items()
    if name != "self"
}


def _estimator_error(failure: DataError) -> EstimatorError:
    return failure if isinstance(failure, EstimatorError) else EstimatorError(str(failure))


def _not_fitted(name: str) -> EstimatorError:
    """scikit-learn's own error too, where it is installed: its tools look for that."""
    message = (
        f"This {name} instance is not fitted yet. Call 'fit' with appropriate arguments before using this estimator."
    )
    try:
        from sklearn.exceptions import NotFittedError
    except ImportError:
        return EstimatorError(message)

    class NotFitted(EstimatorError, NotFittedError):  # type: ignore[misc]
        pass

    return NotFitted(message)
