"""The release's genotype JSON, held to the choices that stand beside its golden logits."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasrec.errors import GenotypeError
from nasrec.genotype import Block, Genotype
from nasrec.interop import release
from nasrec.space import SearchSpace

GOLDEN = Path(__file__).parent.parent / "golden"
SUBNETS = {case["name"]: case["choice"] for case in json.loads((GOLDEN / "subnets.json").read_text())}
PATHS = [path["choice"] for case in json.loads((GOLDEN / "supernets.json").read_text()) for path in case["paths"]]
CHOICES = [*SUBNETS.values(), *PATHS]

SMALLEST: dict[str, Any] = {
    "micro": [
        {"active_nodes": [2, 0], "dense_in_dims": 32, "sparse_in_dims": 16, "dense_sparse_interact": 1, "deep_fm": 0},
        {"active_nodes": [1, 2], "dense_in_dims": 64, "sparse_in_dims": 8, "dense_sparse_interact": 0, "deep_fm": 1},
    ],
    "macro": [
        {"dense_idx": [0], "sparse_idx": [0], "dense_left_idx": [0], "dense_right_idx": [0]},
        {"dense_idx": [1, 0], "sparse_idx": [1], "dense_left_idx": [0], "dense_right_idx": [1]},
    ],
    "num_blocks": 2,
    "use_layernorm": 0,
    "config": "autoctr",
    "test_loss": 0.45,
}
SMALLEST_AS_GENOTYPE = Genotype(
    (
        Block(("fc", "efc"), 32, 16, (0,), (0,), (0,), (0,), dense_to_sparse=True, fm=False),
        Block(("dot_product", "efc"), 64, 8, (0, 1), (1,), (0,), (1,), dense_to_sparse=False, fm=True),
    ),
    layer_norm=False,
)


def changed(*path: Any, value: Any) -> dict[str, Any]:
    choice = copy.deepcopy(SMALLEST)
    place = choice
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return choice


def test_a_small_choice_is_read_field_by_field() -> None:
    genotype = release.load_genotype(SMALLEST)
    assert genotype == SMALLEST_AS_GENOTYPE and genotype.space == "small"


def test_operators_are_numbered_by_configuration() -> None:
    wide = changed("config", value="xlarge")
    wide["micro"][0]["active_nodes"] = [5, 3, 4, 2, 1, 0]
    wide["micro"][1]["active_nodes"] = [4, 2]
    genotype = release.load_genotype(wide)
    assert genotype.blocks[0].operators == ("fc", "dot_product", "sigmoid_gating", "sum", "attention", "efc")
    assert genotype.blocks[1].operators == ("sigmoid_gating", "attention")
    assert genotype.space == "full"


@pytest.mark.parametrize("choice", CHOICES)
def test_golden_choices_come_back(choice: dict[str, Any]) -> None:
    genotype = release.load_genotype(choice)
    dumped = release.dump_genotype(genotype)
    assert release.load_genotype(dumped) == genotype
    expected = copy.deepcopy(choice)
    expected.pop("test_loss", None)
    for block in expected["macro"]:
        for inputs in block.values():
            inputs.sort()
    for block in expected["micro"]:
        block["active_nodes"].sort()
    assert dumped == expected
    assert json.loads(json.dumps(dumped)) == dumped


def test_published_criteo_full_has_four_live_blocks() -> None:
    genotype = release.load_genotype(SUBNETS["ea_criteo_kaggle_xlarge_best_1shot"])
    assert len(genotype.blocks) == 7 and genotype.live_blocks() == (0, 1, 2, 6)


def test_live_blocks_are_those_whose_outputs_the_final_layer_depends_on() -> None:
    live = {name: release.load_genotype(choice).live_blocks() for name, choice in SUBNETS.items()}
    assert live["random02_xlarge_criteo"] == (0, 1, 2, 3, 6)
    assert live["edge08_criteo_e32_ln1"] == (0, 3, 6)
    assert live["edge05_kdd_e8_ln0"] == (0, 1, 2, 4)


@pytest.mark.parametrize("wrap", [False, True])
def test_files_are_read_bare_or_under_choice(tmp_path: Path, wrap: bool) -> None:
    path = tmp_path / "best.json"
    path.write_text(json.dumps({"choice": SMALLEST, "rank": 1} if wrap else SMALLEST))
    assert release.load_genotype(path) == release.load_genotype(str(path)) == SMALLEST_AS_GENOTYPE


@pytest.mark.parametrize("key", ["num_blocks", "test_loss"])
def test_keys_that_may_be_absent(key: str) -> None:
    choice = copy.deepcopy(SMALLEST)
    del choice[key]
    assert release.load_genotype(choice) == SMALLEST_AS_GENOTYPE


@pytest.mark.parametrize("flag", [0, False, np.int64(0), np.bool_(False)])
def test_flags_may_be_numbers_or_booleans(flag: Any) -> None:
    choice = changed("use_layernorm", value=flag)
    choice["micro"][1]["dense_sparse_interact"] = flag
    assert release.load_genotype(choice) == SMALLEST_AS_GENOTYPE


def test_numpy_values_are_accepted() -> None:
    choice = copy.deepcopy(SMALLEST)
    for block in choice["micro"]:
        block["active_nodes"] = np.array(block["active_nodes"])
        block["dense_in_dims"] = np.int64(block["dense_in_dims"])
        block["deep_fm"] = np.int32(block["deep_fm"])
    choice["macro"][1]["dense_idx"] = [np.int64(1), np.int64(0)]
    choice["num_blocks"] = np.int64(2)
    genotype = release.load_genotype(choice)
    assert genotype == SMALLEST_AS_GENOTYPE
    assert json.dumps(genotype.to_dict()) == json.dumps(release.load_genotype(SMALLEST).to_dict())


BAD: list[tuple[tuple[Any, ...], Any]] = [
    (("config",), "huge"),
    (("config",), None),
    (("config",), ["xlarge"]),
    (("num_blocks",), 3),
    (("num_blocks",), True),
    (("num_blocks",), 2.0),
    (("num_blocks",), 10**5000),
    (("use_layernorm",), 2),
    (("use_layernorm",), "1"),
    (("use_layernorm",), 1.0),
    (("use_layernorm",), None),
    (("micro",), None),
    (("micro",), {}),
    (("micro", 1), []),
    (("micro", 1, "active_nodes"), []),
    (("micro", 1, "active_nodes"), [0, 1]),
    (("micro", 1, "active_nodes"), [2]),
    (("micro", 1, "active_nodes"), [0, 0, 2]),
    (("micro", 1, "active_nodes"), [0, 3]),
    (("micro", 1, "active_nodes"), [-1, 2]),
    (("micro", 1, "active_nodes"), [True, 2]),
    (("micro", 1, "active_nodes"), [0.0, 2]),
    (("micro", 1, "active_nodes"), ["fc", "efc"]),
    (("micro", 1, "active_nodes"), 2),
    (("micro", 1, "active_nodes"), [[0], 2]),
    (("micro", 1, "active_nodes"), [10**5000, 2]),
    (("micro", 1, "dense_in_dims"), 0),
    (("micro", 1, "dense_in_dims"), 10**5000),
    (("micro", 1, "dense_in_dims"), "16"),
    (("micro", 1, "dense_in_dims"), [16]),
    (("micro", 1, "sparse_in_dims"), -1),
    (("micro", 1, "sparse_in_dims"), 16.0),
    (("micro", 1, "dense_sparse_interact"), 2),
    (("micro", 1, "deep_fm"), None),
    (("micro", 1, "deep_fm"), [1]),
    (("macro",), []),
    (("macro", 1), None),
    (("macro", 1, "dense_idx"), [2]),
    (("macro", 1, "dense_idx"), []),
    (("macro", 1, "dense_idx"), [0, 0]),
    (("macro", 1, "dense_idx"), 0),
    (("macro", 1, "sparse_idx"), [-1]),
    (("macro", 1, "sparse_idx"), "01"),
    (("macro", 1, "dense_left_idx"), [True]),
    (("macro", 1, "dense_right_idx"), [0.5]),
]


@pytest.mark.parametrize(("path", "value"), BAD, ids=["-".join(map(str, [i, *p])) for i, (p, _) in enumerate(BAD)])
def test_what_is_malformed_is_named_in_the_release_terms(path: tuple[Any, ...], value: Any) -> None:
    with pytest.raises(GenotypeError) as error:
        release.load_genotype(changed(*path, value=value))
    text = str(error.value)
    assert text.isprintable() and len(text) < 300
    if len(path) == 3:
        assert text.startswith(f"block 1: {path[2]}")
    elif path not in (("macro",), ("micro",)):
        assert str(path[0]) in text


@pytest.mark.parametrize(
    "path", [("config",), ("micro",), ("macro",), ("micro", 1, "deep_fm"), ("macro", 1, "dense_idx")]
)
def test_what_is_missing_is_named(path: tuple[Any, ...]) -> None:
    choice = copy.deepcopy(SMALLEST)
    place = choice
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    with pytest.raises(GenotypeError, match=f"{path[-1]}: is missing"):
        release.load_genotype(choice)


@pytest.mark.parametrize("source", [None, 3, [], b"x", {}, {"choice": None}, {"choice": []}])
def test_what_is_no_choice_is_refused(source: Any) -> None:
    with pytest.raises(GenotypeError):
        release.load_genotype(source)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\xff", b'{"config": "xlarge", "config": "xlarge"}', b'{"test_loss": NaN}', b"[" * 10**5],
)
def test_malformed_files_are_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "best.json"
    path.write_bytes(content)
    with pytest.raises(GenotypeError) as error:
        release.load_genotype(path)
    assert str(error.value).startswith(f"{path}: ") and str(error.value).isprintable()


def test_paths_that_are_no_files_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "missing", "", "\0"):
        with pytest.raises(GenotypeError):
            release.load_genotype(path)


@given(st.integers(0, 2**32), st.sampled_from(["full", "small"]))
def test_samples_round_trip_with_their_space(seed: int, name: str) -> None:
    space = getattr(SearchSpace, name)(layer_norm=(False, True))
    genotype = space.sample(np.random.default_rng(seed), operators="single")
    dumped = release.dump_genotype(genotype)
    back = release.load_genotype(dumped)
    assert back == genotype and back.space == genotype.space == name
    assert dumped["config"] == {"full": "xlarge", "small": "autoctr"}[name]


def test_the_configuration_follows_the_operators_unless_stated() -> None:
    assert SMALLEST_AS_GENOTYPE.space == ""
    assert release.dump_genotype(SMALLEST_AS_GENOTYPE)["config"] == "autoctr"
    wide = release.dump_genotype(SMALLEST_AS_GENOTYPE, "xlarge")
    assert wide["config"] == "xlarge" and wide["micro"][0]["active_nodes"] == [0, 5]
    assert release.load_genotype(wide) == SMALLEST_AS_GENOTYPE


def test_what_the_form_cannot_hold_is_refused() -> None:
    gating = Genotype((Block(("sum", "efc"), 16, 16, (0,), (0,), (0,), (0,), dense_to_sparse=False, fm=False),))
    with pytest.raises(GenotypeError, match="autoctr has no operator sum"):
        release.dump_genotype(gating, "autoctr")
    quantised = SearchSpace.codesign().sample(np.random.default_rng(0))
    with pytest.raises(GenotypeError, match="operator_bits"):
        release.dump_genotype(quantised)
    with pytest.raises(GenotypeError, match="activation_bits"):
        release.dump_genotype(SearchSpace.small(activation_bits=(8,)).sample(np.random.default_rng(0)))
    for config in ("small", "", 3, ["xlarge"]):
        with pytest.raises(GenotypeError, match="config"):
            release.dump_genotype(gating, config)  # type: ignore[arg-type]


VALUES = (
    st.none() | st.booleans() | st.integers(-3, 70) | st.floats() | st.text(max_size=3) | st.lists(st.integers(-1, 6))
)


@given(st.data())
def test_any_change_gives_a_genotype_or_its_error(data: st.DataObject) -> None:
    choice = copy.deepcopy(SMALLEST)
    for _ in range(data.draw(st.integers(1, 3))):
        place: Any = choice
        while True:
            key = data.draw(
                st.sampled_from(sorted(place)) if isinstance(place, dict) else st.integers(0, len(place) - 1)
            )
            if not isinstance(place[key], (dict, list)) or not place[key] or data.draw(st.booleans()):
                break
            place = place[key]
        place[key] = data.draw(VALUES)
    try:
        genotype = release.load_genotype(choice)
    except GenotypeError as error:
        message = str(error)
    else:
        message = "-"
        assert release.load_genotype(release.dump_genotype(genotype)) == genotype
    assert message.isprintable() and 0 < len(message) < 300
