"""`CTRClassifier`: fitted, asked, told off."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nasrec import CTRClassifier, Genotype, SearchSpace, runs
from nasrec.errors import DataError, EstimatorError, NasrecError
from tests.estimator.conftest import QUICK, clicks

ROOT = Path(__file__).resolve().parents[2]


def test_it_learns(fitted, frame, target) -> None:
    new, clicked = clicks(400, seed=1)
    found = fitted.predict_proba(new)
    assert found.shape == (400, 2) and found.dtype == np.float64
    np.testing.assert_allclose(found.sum(axis=1), 1)
    click = found[:, 1]
    order = click[clicked.to_numpy() == 1][:, None] - click[clicked.to_numpy() == 0][None, :]
    assert (order > 0).mean() > 0.8, "area under the curve"
    assert fitted.score(new, clicked) == (fitted.predict(new) == clicked.to_numpy()).mean() > 0.75
    assert fitted.classes_.tolist() == [0, 1] and fitted.n_features_in_ == 4
    assert fitted.feature_names_in_.tolist() == list(frame.columns)
    assert fitted.columns_.dense == ("price",) and set(fitted.columns_.categorical) == {"user", "shop_id", "mobile"}


def test_rows_are_left_as_they_are(frame, target) -> None:
    before, weights = frame.copy(deep=True), np.linspace(0.5, 1.5, len(frame))
    model = CTRClassifier("logistic_regression", embedding_dim=4, epochs=1).fit(frame, target, sample_weight=weights)
    model.predict(frame)
    pd.testing.assert_frame_equal(frame, before)
    assert weights[0] == 0.5


def test_order_of_columns_and_further_ones_do_not_matter(fitted, frame) -> None:
    wanted = fitted.predict_proba(frame)
    other = frame[["mobile", "price", "user", "shop_id"]].assign(extra=1).reset_index(drop=True)
    np.testing.assert_array_equal(fitted.predict_proba(other), wanted)
    np.testing.assert_allclose(fitted.predict_proba(frame[:1]), wanted[:1], rtol=1e-6)


def test_values_that_training_did_not_see(fitted, frame) -> None:
    rows = frame[:3].assign(user=["new", None, "u0"], price=np.nan)
    assert np.isfinite(fitted.predict_proba(rows)).all()
    same = fitted.predict_proba(frame[:2].assign(user=["new", "newer"], price=0.0, shop_id=1, mobile=True))
    np.testing.assert_array_equal(same[0], same[1])


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (["no", "yes"], ["no", "yes"]),
        ([False, True], [False, True]),
        ([-1, 1], [-1, 1]),
        ([2.0, 7.0], [2.0, 7.0]),
        (pd.Categorical(["a", "b"]), ["a", "b"]),
        (pd.array([False, True], "boolean"), [False, True]),
    ],
)
def test_any_two_classes(frame, target, tmp_path, values, classes) -> None:
    named = pd.Series(values).take(target.to_numpy()).set_axis(target.index)
    model = CTRClassifier("logistic_regression", embedding_dim=4, epochs=1).fit(frame, named)
    model.save(tmp_path / "m")
    for one in (model, CTRClassifier.load(tmp_path / "m")):
        assert one.classes_.tolist() == classes
        assert set(one.predict(frame).tolist()) <= set(classes) and one.score(frame, named) > 0.5


def test_arrays(frame, target) -> None:
    """Columns by place; numbered ones can be named as categorical."""
    X = np.stack([frame["price"].fillna(0), frame["shop_id"]], axis=1)
    model = CTRClassifier("logistic_regression", categorical=[1], **QUICK).fit(X, target.tolist())
    assert model.columns_.dense == ("x0",) and model.columns_.categorical == ("x1",)
    assert not hasattr(model, "feature_names_in_") and model.n_features_in_ == 2
    wanted = model.predict_proba(X)
    np.testing.assert_array_equal(model.predict_proba(X.tolist()), wanted)
    with pytest.warns(UserWarning, match="X has feature names, but CTRClassifier was fitted without feature names"):
        np.testing.assert_array_equal(model.predict_proba(pd.DataFrame(X, columns=["a", "b"])), wanted)
    with pytest.raises(EstimatorError, match="X has 1 features, but CTRClassifier is expecting 2 features as input"):
        model.predict(X[:, :1])


def test_no_categorical_column(target) -> None:
    X = pd.DataFrame({"a": np.random.default_rng(0).normal(size=len(target)) + 2 * target.to_numpy()})
    model = CTRClassifier("deepfm", **QUICK).fit(X, target)
    assert model.score(X, target) > 0.75
    assert model.predict_proba(X[["a"]]).shape == (len(X), 2)


def test_weights(frame, target) -> None:
    """Rows of weight zero play no part; equal weights are none."""
    wrong = target.where(np.arange(len(target)) % 2 == 0, 1 - target)
    half = np.where(np.arange(len(target)) % 2 == 0, 2.0, 0.0)
    new, clicked = clicks(400, seed=1)
    model = CTRClassifier("dlrm", **QUICK)
    assert model.fit(frame, wrong, sample_weight=half).score(new, clicked) > 0.7
    assert model.fit(frame, wrong).score(new, clicked) < 0.7
    plain = model.fit(frame, target).predict_proba(new)
    np.testing.assert_array_equal(model.fit(frame, target, np.full(len(frame), 3.0)).predict_proba(new), plain)
    weighted = model.fit(frame, target, np.where(target == 1, 9.0, 1.0)).predict_proba(new)
    assert weighted[:, 1].mean() > plain[:, 1].mean() + 0.1


def test_columns_left_out_are_named_to_the_caller(frame, target) -> None:
    with pytest.warns(UserWarning, match=r"left out of the model: 'one' \(one value\)") as caught:
        model = CTRClassifier("logistic_regression", embedding_dim=4).fit(frame.assign(one=1), target)
    assert caught[0].filename == __file__ and model.columns_.left_out == {"one": "one value"}


def test_the_same_seed_gives_the_same_model(frame, target) -> None:
    first, second, other, drawn = (
        CTRClassifier("dlrm", random_state=state, **QUICK).fit(frame, target).predict_proba(frame)
        for state in (3, 3, 4, np.random.RandomState(3))
    )
    np.testing.assert_array_equal(first, second)
    assert (first != other).any() and (first != drawn).any()


@pytest.mark.parametrize("kind", ["genotype", "preset", "file"])
def test_models_of_every_form(frame, target, tmp_path, kind) -> None:
    genotype = SearchSpace.small(2, dense_dims=(16,), sparse_dims=(16,)).sample(np.random.default_rng(0))
    genotype.save(tmp_path / "g.json")
    model = {"genotype": genotype, "preset": "criteo-small", "file": tmp_path / "g.json"}[kind]
    found = CTRClassifier(model, embedding_dim=4, epochs=1).fit(frame, target)
    found.save(tmp_path / "m")
    loaded = CTRClassifier.load(tmp_path / "m")
    np.testing.assert_array_equal(loaded.predict_proba(frame), found.predict_proba(frame))
    assert loaded.model == (str(model) if kind == "file" else model)
    assert isinstance(loaded.model, Genotype) == (kind == "genotype")


def test_seeds(frame, target) -> None:
    model = CTRClassifier("dlrm", seeds=2, **QUICK).fit(frame, target)
    run = runs.load(model.folder_ / "runs" / "model")
    assert isinstance(run, runs.TrainRun) and len(run.seeds) == 2
    assert model.leaderboard().loc[0, "valid_log_loss"] == run.scores["valid"]["log_loss"]


def test_the_folder_of_runs(frame, target, tmp_path) -> None:
    """A temporary one goes with the estimator; in a given one each fit has its own, and the same fit is found there."""
    model = CTRClassifier("logistic_regression", **QUICK).fit(frame, target)
    folder = model.folder_
    assert (folder / "runs" / "model" / "report.json").is_file()
    del model
    assert not folder.exists()
    kept = CTRClassifier("logistic_regression", folder=tmp_path, **QUICK).fit(frame, target)
    report = kept.folder_ / "runs" / "model" / "report.json"
    assert kept.folder_.parent == tmp_path and (kept.folder_ / "data" / "manifest.json").is_file()
    written = report.stat().st_mtime_ns
    again = CTRClassifier("logistic_regression", folder=tmp_path, verbose=True, **QUICK).fit(frame, target)
    assert again.folder_ == kept.folder_ and report.stat().st_mtime_ns == written
    np.testing.assert_array_equal(again.predict_proba(frame), kept.predict_proba(frame))
    folders = {kept.folder_}
    for change in ({"lr": 0.05}, {"random_state": 1}):
        other = CTRClassifier("logistic_regression", folder=tmp_path, **QUICK).set_params(**change)
        folders.add(other.fit(frame, target).folder_)
    folders.add(kept.fit(frame[:400], target[:400]).folder_)
    assert len(folders) == 4 == len(list(tmp_path.iterdir()))


def test_pickled_without_its_folder(fitted, frame) -> None:
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(frame), fitted.predict_proba(frame))


def test_parameters() -> None:
    model = CTRClassifier("dlrm", lr=0.2)
    assert model.get_params()["lr"] == 0.2 and repr(model) == "CTRClassifier(model='dlrm', lr=0.2)"
    assert model.set_params(lr=0.1, seeds=3) is model and model.seeds == 3
    with pytest.raises(EstimatorError, match="Invalid parameter 'rate' for estimator CTRClassifier"):
        model.set_params(rate=1)
    with pytest.raises(EstimatorError, match="This CTRClassifier instance is not fitted yet"):
        model.predict([[1.0]])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"time_limit_s": 0}, "time_limit_s must be a positive number or None, not 0"),
        ({"valid_fraction": 1.0}, "valid_fraction must lie between 0 and 1, not 1.0"),
        ({"random_state": -1}, "random_state must be None, a whole number"),
        ({"dense": "price"}, "dense must be a list of columns, not 'price'"),
        ({"dense": ["cost"]}, "dense column 'cost' is not in the frame"),
        ({"dense": ["user"]}, "column 'user' should hold numbers, but holds"),
        ({"lr": -1.0}, "lr must be a positive number or None"),
        ({"epochs": 0}, "epochs must be a whole number of at least 1"),
        ({"optimizer": "sgd"}, "optimizer 'sgd' is unknown; use one of adagrad, adam, adamw"),
        ({"model": "resnet"}, "resnet: neither a file nor a name"),
        ({"model": 3}, "a model must be a genotype, a graph, a file or a name"),
    ],
)
def test_parameters_out_of_range(frame, target, params, message) -> None:
    with pytest.raises(NasrecError, match=message) as caught:
        CTRClassifier(**({"model": "logistic_regression"} | params)).fit(frame, target)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": None}, "requires y to be passed, but the target y is None"),
        ({"y": lambda y: y[:5]}, r"inconsistent numbers of samples: X 600, y 5"),
        ({"y": lambda y: y.where(y == 1)}, "Input y contains NaN"),
        ({"y": lambda y: y * 0.5}, "Unknown label type: continuous"),
        ({"y": lambda y: np.arange(600) % 3}, "Only binary classification is supported.*multiclass: it has 3 classes"),
        ({"y": lambda y: y * 0}, "y holds one class in 600 rows; learning needs two classes"),
        ({"y": lambda y: np.arange(600) == 7}, "has 1 sample; two are needed, to train and to validate"),
        ({"y": lambda y: pd.DataFrame({"a": y, "b": y})}, r"y should be a 1d array, got an array of shape \(600, 2\)"),
        (
            {"X": lambda X: X.assign(price=X["price"].where(np.arange(600) != 7, np.inf))},
            "'price' of X is infinite in row 7",
        ),
        ({"X": lambda X: X[:0]}, r"Found array with 0 sample\(s\)"),
        ({"X": lambda X: X["price"]}, "Expected 2D array, got 1D array instead"),
        ({"X": lambda X: X.assign(t=pd.Timestamp("2022-05-01"))}, "'t' holds dates or times"),
        ({"X": lambda X: X.set_axis(["a", "a", "b", "c"], axis=1)}, "column 'a' comes twice in the frame"),
        ({"sample_weight": [1.0]}, r"inconsistent numbers of samples: X 600, sample_weight 1"),
        ({"sample_weight": np.full(600, -1.0)}, "sample_weight must be finite and not negative"),
        ({"sample_weight": np.zeros(600)}, "sample_weight is zero in every row"),
        ({"sample_weight": ["heavy"] * 600}, "sample_weight must be numbers"),
    ],
)
def test_rows_that_do_not_serve(frame, target, change, message) -> None:
    given = {"X": frame, "y": target}
    for name, value in change.items():
        given[name] = value(given[name]) if callable(value) else value
    with pytest.raises(EstimatorError, match=message) as caught:
        CTRClassifier("logistic_regression").fit(**given)
    assert isinstance(caught.value, ValueError) and isinstance(caught.value, DataError)


def test_new_rows_that_do_not_serve(fitted, frame) -> None:
    with pytest.raises(EstimatorError, match="the frame lacks the column price; it has user, shop_id, mobile"):
        fitted.predict(frame.drop(columns="price"))
    with pytest.raises(EstimatorError, match="row 0: column 'price' is inf; expected a finite number"):
        fitted.predict_proba(frame.assign(price=np.inf))


def test_without_scikit_learn(tmp_path: Path) -> None:
    code = """
import sys
sys.modules["sklearn"] = None
import numpy as np, pandas as pd
from nasrec import CTRClassifier
frame = pd.DataFrame({"user": ["a", "b"] * 50, "price": np.linspace(0, 1, 100) ** 2})
model = CTRClassifier("logistic_regression", embedding_dim=4, epochs=1)
try:
    model.predict(frame)
except ValueError as error:
    print(error)
model.fit(frame, (frame["user"] == "a") ^ (np.arange(100) % 5 == 0))
model.save("m")
loaded = CTRClassifier.load("m")
print(loaded.predict_proba(frame).shape, model.leaderboard()["model"].tolist(), repr(model.set_params(lr=1.0)))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in (".", "ir", "pim"))}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith("This CTRClassifier instance is not fitted yet")
    assert second.startswith(
        "(100, 2) ['logistic_regression'] CTRClassifier(model='logistic_regression', embedding_dim=4"
    )
