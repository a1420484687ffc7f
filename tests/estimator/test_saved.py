"""A classifier in a folder: the same predictions elsewhere, nothing of this machine in it, and no damage unseen."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nasrec import CTRClassifier
from nasrec.errors import EstimatorError, NasrecError
from tests.estimator.conftest import QUICK

WEIGHTS = "weights.safetensors" if importlib.util.find_spec("safetensors") else "weights.pt"


@pytest.fixture
def folder(fitted, tmp_path: Path) -> Path:
    fitted.save(tmp_path / "model")
    return tmp_path / "model"


def test_the_same_predictions(fitted, frame, folder) -> None:
    loaded = CTRClassifier.load(folder)
    np.testing.assert_array_equal(loaded.predict_proba(frame), fitted.predict_proba(frame))
    assert loaded.get_params() == fitted.get_params()
    pd.testing.assert_frame_equal(loaded.leaderboard(), fitted.leaderboard())
    assert loaded.classes_.dtype == fitted.classes_.dtype and loaded.columns_ == fitted.columns_
    assert loaded.feature_names_in_.tolist() == fitted.feature_names_in_.tolist() and loaded.n_features_in_ == 4
    loaded.save(folder)
    np.testing.assert_array_equal(CTRClassifier.load(folder).predict_proba(frame), fitted.predict_proba(frame))


def test_what_is_in_the_folder(frame, target, tmp_path) -> None:
    """No path of this machine, and a generator is no JSON."""
    model = CTRClassifier(
        "logistic_regression",
        folder=tmp_path / "runs",
        random_state=np.random.RandomState(0),
        dense=("price",),
        **QUICK,
    ).fit(frame, target)
    model.save(tmp_path / "model")
    names = sorted(path.name for path in (tmp_path / "model").iterdir())
    assert names == ["classifier.json", "encoder.json", "graph.ir", "vocabulary", WEIGHTS]
    assert all(str(tmp_path).encode() not in path.read_bytes() for path in (tmp_path / "model").rglob("*.*"))
    loaded = CTRClassifier.load(tmp_path / "model")
    assert loaded.random_state is None and loaded.folder is None and loaded.dense == ["price"]
    assert loaded.fit(frame, target).folder_ != model.folder_


def test_a_file_of_safetensors_is_written_where_that_is_installed(fitted, frame, folder, monkeypatch) -> None:
    pytest.importorskip("safetensors")
    fitted.save(folder)
    assert (folder / "weights.safetensors").is_file() and not (folder / "weights.pt").exists()
    np.testing.assert_array_equal(CTRClassifier.load(folder).predict_proba(frame), fitted.predict_proba(frame))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(NasrecError, match=r"weights.safetensors: needs the package safetensors"):
        CTRClassifier.load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "is no file of a classifier"),
        ({"version": 9}, "is of version 9, this program reads 1"),
        ({"params": []}, "params must be a JSON object"),
        ({"params": {"speed": 1}}, "there is no parameter 'speed'"),
        ({"params": {"model": {"genotype": {}}}}, "classifier.json: "),
        ({"weights": "../../weights.pt"}, "weights must be weights.safetensors or weights.pt"),
        ({"classes": {"dtype": "int64", "values": [1]}}, "classes must be two values of one of the types"),
        ({"classes": {"dtype": "int64", "values": ["a", "b"]}}, "classes must be two values of type int64"),
        ({"names": "user"}, "names must be a list, not 'user'"),
        ({"named": 1}, "named must be a true or false, not 1"),
        ({"columns": {}}, "label must be a text, not None"),
        ({"candidates": [3]}, "a candidate must be an object, not 3"),
        ({"candidates": [{"name": "a", "seconds": "b"}]}, "seconds must be a number, not 'b'"),
        ({"chosen": 1}, "chosen must be the number of a candidate, not 1"),
    ],
)
def test_a_changed_description(folder, change, message) -> None:
    path = folder / "classifier.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(NasrecError, match=message) as caught:
        CTRClassifier.load(folder)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["classifier.json", "graph.ir", WEIGHTS, "encoder.json", "vocabulary/00.arrow"])
def test_damage(folder, name) -> None:
    path = folder / name
    data = path.read_bytes()
    for wrong in (data[: len(data) // 2], bytes(100), None):
        path.unlink() if wrong is None else path.write_bytes(wrong)
        with pytest.raises(NasrecError) as caught:
            CTRClassifier.load(folder)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_files_of_two_models(frame, target, folder, tmp_path) -> None:
    other = CTRClassifier("dlrm", embedding_dim=8, epochs=1).fit(frame.drop(columns="mobile"), target)
    other.save(tmp_path / "other")
    (folder / "graph.ir").write_bytes((tmp_path / "other" / "graph.ir").read_bytes())
    with pytest.raises(EstimatorError, match=r"graph.ir and encoder.json are not of one model"):
        CTRClassifier.load(folder)
    other.fit(frame, target).save(folder)
    (folder / WEIGHTS).write_bytes((tmp_path / "other" / WEIGHTS).read_bytes())
    with pytest.raises(NasrecError, match=rf"{WEIGHTS}: .*tables.0 has shape|{WEIGHTS}: .*is missing"):
        CTRClassifier.load(folder)


def test_nothing_else_is_replaced(fitted, tmp_path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(EstimatorError, match=r"mine: holds notes.txt, which no classifier left there"):
        fitted.save(tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
    with pytest.raises(EstimatorError, match=r"notes.txt: is no folder; give another name"):
        fitted.save(tmp_path / "mine" / "notes.txt")
    with pytest.raises(EstimatorError, match="not fitted yet"):
        CTRClassifier().save(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_no_code_runs(folder, monkeypatch) -> None:
    """A pickle in place of the weights is refused, not run."""
    import pickle

    class Runs:
        def __reduce__(self) -> tuple[object, ...]:
            return (exec, ("import sys; sys.nasrec_was_here = True",))

    path = folder / "classifier.json"
    path.write_text(path.read_text().replace(WEIGHTS, "weights.pt"))
    (folder / "weights.pt").write_bytes(pickle.dumps({"a": Runs()}))
    with pytest.raises(NasrecError, match=r"weights.pt: cannot be read as a state dict"):
        CTRClassifier.load(folder)
    assert not hasattr(sys, "nasrec_was_here")
