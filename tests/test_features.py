from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasrec.errors import FeatureError
from nasrec.features import FeatureSpec


@pytest.mark.parametrize(
    "cardinalities",
    [[50, 7], (50, 7), np.array([50, 7]), np.array([50, 7], dtype=np.uint8), [np.int64(50), 7], range(50, 6, -43)],
)
def test_any_sequence_of_integers_becomes_a_tuple(cardinalities: Any) -> None:
    thirteen: Any = np.int32(13)
    spec = FeatureSpec(thirteen, cardinalities, embedding_dim=8)
    assert spec == FeatureSpec(13, (50, 7), 8)
    assert spec.num_sparse == 2
    assert [type(v) for v in (spec.num_dense, *spec.cardinalities)] == [int] * 3
    hash(spec)


def test_defaults_and_edges() -> None:
    assert FeatureSpec(0, [1]).embedding_dim == 16
    assert FeatureSpec(65536, [2**31 - 1], 4096).num_sparse == 1


BAD = [
    ("num_dense", -1),
    ("num_dense", 65537),
    ("num_dense", 10**5000),
    ("num_dense", 13.0),
    ("num_dense", True),
    ("num_dense", "13"),
    ("num_dense", None),
    ("cardinalities", []),
    ("cardinalities", [0]),
    ("cardinalities", [50, -1]),
    ("cardinalities", [2**31]),
    ("cardinalities", [10**5000]),
    ("cardinalities", [50.0]),
    ("cardinalities", [True]),
    ("cardinalities", 50),
    ("cardinalities", "50"),
    ("cardinalities", b"50"),
    ("cardinalities", {50}),
    ("cardinalities", {50: 1}),
    ("cardinalities", [[50]]),
    ("cardinalities", np.array([[50]])),
    ("cardinalities", np.array(50)),
    ("cardinalities", np.array([50.0])),
    ("cardinalities", None),
    ("cardinalities", [1] * 65537),
    ("embedding_dim", 0),
    ("embedding_dim", 4097),
    ("embedding_dim", False),
    ("embedding_dim", 16.5),
    ("embedding_dim", None),
]


@pytest.mark.parametrize(("name", "value"), BAD, ids=[f"{name}-{i}" for i, (name, _) in enumerate(BAD)])
def test_a_bad_field_is_named(name: str, value: Any) -> None:
    values: dict[str, Any] = {"num_dense": 13, "cardinalities": [50], "embedding_dim": 16}
    with pytest.raises(FeatureError, match=rf"^{name}") as error:
        FeatureSpec(**(values | {name: value}))
    assert str(error.value).isprintable() and len(str(error.value)) < 300


def test_dicts_and_files_round_trip(tmp_path: Path) -> None:
    spec = FeatureSpec(13, [50] * 26, 8)
    assert FeatureSpec.from_dict(spec.to_dict()) == spec
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(spec.to_dict()))
    assert FeatureSpec.load(path) == spec
    path.write_text('{"num_dense": 13, "cardinalities": [50]}')
    assert FeatureSpec.load(path) == FeatureSpec(13, [50], 16)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("", "empty"),
        ("[]", "object"),
        ('{"num_dense": 13}', "cardinalities"),
        ('{"num_dense": 13, "cardinalities": [50], "dim": 3}', "'dim'"),
        ('{"num_dense": 13, "num_dense": 13, "cardinalities": [50]}', "twice"),
        ('{"num_dense": 13, "cardinalities": [NaN]}', "NaN"),
        ('{"num_dense": 13, "cardinalities": [0]}', r"cardinalities[0]"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, content: str, word: str) -> None:
    path = tmp_path / "spec.json"
    path.write_text(content)
    with pytest.raises(FeatureError) as error:
        FeatureSpec.load(path)
    assert str(error.value).startswith(f"{path}: ") and word in str(error.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FeatureError, match="cannot be read"):
        FeatureSpec.load(tmp_path / "missing")


@given(
    st.dictionaries(
        st.sampled_from(["num_dense", "cardinalities", "embedding_dim", "x"]),
        st.just(1) | st.lists(st.integers() | st.booleans() | st.none(), max_size=3),
    )
)
def test_any_dict_gives_a_specification_or_its_error(values: dict[str, Any]) -> None:
    try:
        spec = FeatureSpec.from_dict(values)
    except FeatureError:
        return
    assert spec.to_dict() == {"embedding_dim": 16} | values
