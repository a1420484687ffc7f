from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasrec.errors import GenotypeError
from nasrec.genotype import INPUTS, OPERATORS, Block, Genotype
from nasrec.io.json import MAX_BYTES, parse_json
from nasrec.space import SearchSpace


def block(**changes: Any) -> Block:
    values: dict[str, Any] = {
        "operators": ("fc", "efc"),
        "dense_width": 16,
        "sparse_width": 8,
        "dense_inputs": (0,),
        "sparse_inputs": (0,),
        "left_inputs": (0,),
        "right_inputs": (0,),
        "dense_to_sparse": False,
        "fm": False,
    }
    return Block(**(values | changes))


def chain(*changes: dict[str, Any]) -> Genotype:
    return Genotype(tuple(block(**c) for c in changes))


EXAMPLE = Genotype(
    (
        block(operators=("dot_product", "sum", "attention"), operator_bits=(4, 8, 16)),
        block(dense_inputs=(0, 1), left_inputs=(1,), fm=True, operator_bits=(2, 3), activation_bits=(8, 5)),
    ),
    layer_norm=False,
    name="an example, ünïcode too",
    space="full",
)


def one_line(error: pytest.ExceptionInfo[Exception]) -> str:
    text = str(error.value)
    assert text.isprintable() and 0 < len(text) < 600
    return text


# Blocks and genotypes -------------------------------------------------------------------------------------------


def test_a_block_is_kept_in_canonical_order_with_its_precisions() -> None:
    made = block(
        operators=["efc", "fc", "attention"],
        operator_bits=[8, 4, 2],
        activation_bits=(5, 6, 7),
        dense_inputs=np.array([3, 0]),
        left_inputs=[2, 1],
    )
    assert made.operators == ("fc", "attention", "efc")
    assert made.operator_bits == (4, 2, 8) and made.activation_bits == (6, 7, 5)
    assert made.precisions == {"fc": (4, 6), "attention": (2, 7), "efc": (8, 5)}
    assert replace(made, operator_bits=()).precisions["efc"] == (None, 5)
    assert made.dense_inputs == (0, 3) and made.left_inputs == (1, 2)
    assert made.dense_operators == ("fc",) and made.sparse_operators == ("attention", "efc")
    assert all(type(i) is int for i in made.dense_inputs)
    hash(made)


BAD_FIELDS = [
    ("operators", ()),
    ("operators", "fc"),
    ("operators", ("fc",)),
    ("operators", ("efc",)),
    ("operators", ("fc", "fc", "efc")),
    ("operators", ("fc", "efc", "conv")),
    ("operators", ("FC", "efc")),
    ("operators", ("fc", "efc\u200b")),
    ("operators", (0, 5)),
    ("operators", (["fc"], "efc")),
    ("operators", None),
    ("dense_width", 0),
    ("dense_width", -16),
    ("dense_width", 2**16 + 1),
    ("dense_width", 10**5000),
    ("dense_width", 16.0),
    ("dense_width", True),
    ("dense_width", "16"),
    ("dense_width", "\N{ARABIC-INDIC DIGIT ONE}"),
    ("dense_width", None),
    ("sparse_width", 0),
    ("sparse_width", 4097),
    ("sparse_width", False),
    ("dense_inputs", ()),
    ("dense_inputs", (0, 0)),
    ("dense_inputs", (-1,)),
    ("dense_inputs", (64,)),
    ("dense_inputs", (10**5000,)),
    ("sparse_inputs", 0),
    ("sparse_inputs", "0"),
    ("sparse_inputs", b"\0"),
    ("sparse_inputs", {0}),
    ("left_inputs", {0: 1}),
    ("left_inputs", (True,)),
    ("right_inputs", (0.0,)),
    ("right_inputs", None),
    ("dense_to_sparse", 1),
    ("dense_to_sparse", None),
    ("fm", "true"),
    ("fm", 0),
    ("operator_bits", (8,)),
    ("operator_bits", (8, 8, 8)),
    ("operator_bits", (8, 1)),
    ("operator_bits", (17, 8)),
    ("operator_bits", (True, 8)),
    ("operator_bits", None),
    ("activation_bits", (8,)),
    ("activation_bits", (8, 17)),
]


@pytest.mark.parametrize(("name", "value"), BAD_FIELDS, ids=[f"{name}-{i}" for i, (name, _) in enumerate(BAD_FIELDS)])
def test_a_bad_field_is_named(name: str, value: Any) -> None:
    with pytest.raises(GenotypeError) as error:
        block(**{name: value})
    assert one_line(error).startswith(name)
    with pytest.raises(GenotypeError) as error:
        Genotype.from_dict(replaced(EXAMPLE, 1, name, value))
    assert one_line(error).startswith(f"block 1: {name}")


def replaced(genotype: Genotype, index: int, name: str, value: Any) -> dict[str, Any]:
    values = genotype.to_dict()
    values["blocks"][index][name] = value
    return values


@pytest.mark.parametrize("name", INPUTS)
def test_a_block_reads_only_what_comes_before_it(name: str) -> None:
    assert chain({}, {name: (0, 1)})
    with pytest.raises(GenotypeError, match=f"^block 1: {name} may name 0 .* to 1"):
        chain({}, {name: (0, 2)})
    with pytest.raises(GenotypeError, match=f"^block 0: {name}"):
        chain({name: (1,)}, {})


@pytest.mark.parametrize(
    "values",
    [
        {"blocks": ()},
        {"blocks": (block(),) * 65},
        {"blocks": block()},
        {"blocks": ("fc",)},
        {"blocks": None},
        {"layer_norm": 1},
        {"layer_norm": None},
        {"name": "two\nlines"},
        {"name": "turned\u202e"},
        {"name": "half \ud800"},
        {"name": "x" * 121},
        {"name": None},
        {"name": 7},
        {"space": "xlarge"},
        {"space": None},
        {"space": ["full"]},
        {"space": "small", "blocks": (block(operators=("sum", "efc")),)},
    ],
)
def test_a_bad_genotype_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(GenotypeError) as error:
        Genotype(**({"blocks": (block(),)} | values))
    one_line(error)


def test_names_and_spaces_are_not_compared() -> None:
    assert Genotype((block(),)) == Genotype((block(),), name="other", space="small")
    assert Genotype((block(),)) != Genotype((block(),), layer_norm=False)
    assert Genotype((block(),) * 64).live_blocks() == (63,)


# Live blocks ----------------------------------------------------------------------------------------------------


def live_by_influence(genotype: Genotype) -> tuple[int, ...]:
    """Live blocks another way: forwards. A block is live if the logit changes when the block alone is marked."""

    def logit(marked: int) -> frozenset[int]:
        dense: list[frozenset[int]] = [frozenset()]
        sparse: list[frozenset[int]] = [frozenset()]
        for k, b in enumerate(genotype.blocks):
            mark = frozenset({k} if k == marked else ())
            reads = {"fc": [0], "dot_product": [0, 1], "sigmoid_gating": [2, 3], "sum": [2, 3]}
            sides = [
                frozenset().union(*(outputs[i] for i in inputs))
                for outputs, inputs in (
                    (dense, b.dense_inputs),
                    (sparse, b.sparse_inputs),
                    (dense, b.left_inputs),
                    (dense, b.right_inputs),
                )
            ]
            units = mark.union(*(sides[s] for o in b.dense_operators for s in reads[o]))
            rows = mark | sides[1]
            dense.append(units | rows if b.fm else units)
            sparse.append(rows | units if b.dense_to_sparse else rows)
        return dense[-1] | sparse[-1]

    return tuple(k for k in range(len(genotype.blocks)) if logit(k))


@given(st.integers(0, 2**32))
def test_live_blocks_are_those_that_influence_the_logit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    genotype = SearchSpace.full(6, max_inputs=2).sample(rng, operators="single")
    assert genotype.live_blocks() == live_by_influence(genotype)


@pytest.mark.parametrize(
    ("second", "live"),
    [
        ({"dense_inputs": (1,)}, (0, 1)),  # FC reads it
        ({"left_inputs": (1,), "right_inputs": (1,)}, (1,)),  # nothing reads left and right
        ({"operators": ("sum", "efc"), "dense_inputs": (1,)}, (1,)),
        ({"operators": ("sum", "efc"), "right_inputs": (1,)}, (0, 1)),
        ({"operators": ("sigmoid_gating", "efc"), "left_inputs": (1,)}, (0, 1)),
        ({"operators": ("dot_product", "attention"), "sparse_inputs": (0, 1)}, (0, 1)),
        ({"sparse_inputs": (1,)}, (0, 1)),
    ],
)
def test_only_inputs_of_active_operators_count(second: dict[str, Any], live: tuple[int, ...]) -> None:
    assert chain({}, second).live_blocks() == live


@pytest.mark.parametrize(
    ("merger", "live"), [({}, (1, 2)), ({"fm": True}, (0, 1, 2)), ({"dense_to_sparse": True}, (1, 2))]
)
def test_only_the_needed_branch_of_a_block_counts(merger: dict[str, Any], live: tuple[int, ...]) -> None:
    # Block 1's dense output is read, its sparse output is not; block 0 feeds the latter alone.
    middle = {"sparse_inputs": (1,), **merger}
    assert chain({}, middle, {"dense_inputs": (2,)}).live_blocks() == live


# Files ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "genotype.json"


def assert_refused(path: Any, *words: str) -> None:
    with pytest.raises(GenotypeError) as error:
        Genotype.load(path)
    text = one_line(error)
    for word in words:
        assert word in text


def test_files_round_trip(file: Path) -> None:
    EXAMPLE.save(file)
    back = Genotype.load(str(file))
    assert back == EXAMPLE and (back.name, back.space) == (EXAMPLE.name, EXAMPLE.space)
    assert json.loads(file.read_text(encoding="utf-8")) == EXAMPLE.to_dict()
    before = file.read_bytes()
    back.save(file)
    assert file.read_bytes() == before
    assert os.listdir(file.parent) == [file.name]


def test_only_what_older_programs_cannot_read_is_of_the_new_version() -> None:
    weights = Genotype((block(operator_bits=(2, 3)),))
    both = Genotype((block(operator_bits=(2, 3), activation_bits=(8, 8)),))
    assert (weights.to_dict()["version"], both.to_dict()["version"]) == (1, 2)
    assert "activation_bits" not in weights.to_dict()["blocks"][0]
    assert Genotype.from_dict(both.to_dict()) == both


@given(st.integers(0, 2**32))
def test_dicts_round_trip(seed: int) -> None:
    space = SearchSpace.full(5, operator_bits=(2, 8, 16), activation_bits=(4, 8), layer_norm=(False, True))
    genotype = space.sample(np.random.default_rng(seed))
    text = json.dumps(genotype.to_dict())
    assert Genotype.from_dict(json.loads(text)) == genotype
    assert parse_json(text, GenotypeError) == genotype.to_dict()


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"{", "line 1"),
        (b"null", "object"),
        (b"[]", "object"),
        (b"3", "object"),
        (b"\xff\xfe{\0}\0", "UTF-8"),
        (b'{"name": "\xc3"}', "UTF-8"),
        (b"\xef\xbb\xbf{}", "JSON"),
        (b'{"format": "nasrec-genotype", "format": "nasrec-genotype"}', "'format' stands twice"),
        (b'{"version": NaN}', "NaN"),
        (b'{"version": -Infinity}', "-Infinity"),
        (b'{"version": 1e999}', "too large"),
        (b'{"version": ' + b"9" * 5000 + b"}", "too large"),
        (b"[" * 100_000, "nested"),
        (b'{"a":' * 100_000, "nested"),
        (b'{"format": "nasrec-genotype", "version": 3}', "version 3 is newer"),
        (b'{"format": "nasrec-genotype", "version": 1.0}', "version"),
        (b'{"format": "nasrec-genotype", "version": true}', "version"),
        (b'{"format": "nasrec-genotype", "version": 1}', "lacks 'layer_norm'"),
        (b'{"format": "other", "version": 1}', "format"),
        (b'{"version": 1}', "absent"),
        (b'{"a": 1} {"b": 2}', "line 1"),
    ],
)
def test_malformed_files_are_refused(file: Path, content: bytes, word: str) -> None:
    file.write_bytes(content)
    assert_refused(file, str(file), word)


def test_a_bad_block_is_named_with_its_file(file: Path) -> None:
    file.write_text(json.dumps(replaced(EXAMPLE, 1, "dense_width", 0)))
    assert_refused(file, str(file), "block 1: dense_width must be an integer from 1 to 65536, not 0")


def test_unknown_and_missing_keys_are_named(file: Path) -> None:
    for key in ("dense_width", "fm", *INPUTS):
        values = EXAMPLE.to_dict()
        del values["blocks"][0][key]
        file.write_text(json.dumps(values))
        assert_refused(file, f"block 0: a block lacks '{key}'")
    file.write_text(json.dumps(replaced(EXAMPLE, 0, "dense_widht", 3)))
    assert_refused(file, "block 0: a block has no 'dense_widht'; allowed: operators")
    file.write_text(json.dumps(EXAMPLE.to_dict() | {"colour": 1}))
    assert_refused(file, "a genotype has no 'colour'")


def test_paths_that_are_no_files_are_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    large = tmp_path / "large"
    large.write_bytes(b" " * (MAX_BYTES + 1))
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert_refused(pipe, "regular file")
    assert_refused(tmp_path, "regular file")
    assert_refused("/dev/zero", "regular file")
    assert_refused(large, "larger")
    assert_refused(loop, "cannot be read")
    for path in (tmp_path / "missing", tmp_path / "a\nb", "", "\0", "\ud800", tmp_path / ("x" * 300)):
        assert_refused(path, "cannot be read")
    for value in (3, None, b"genotype.json", 1.5, ["a"]):
        assert_refused(value, "path")


def test_saving_never_harms(tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    EXAMPLE.save(kept)
    link = tmp_path / "link.json"
    link.symlink_to(kept)
    chain({}).save(link)
    assert link.is_symlink() and Genotype.load(kept) == chain({})
    os.mkfifo(tmp_path / "pipe")
    for target in (tmp_path, tmp_path / "missing" / "g.json", "/dev/null", "", "\0", None, tmp_path / "pipe"):
        with pytest.raises(GenotypeError) as error:
            EXAMPLE.save(target)  # type: ignore[arg-type]
        one_line(error)
    assert sorted(os.listdir(tmp_path)) == ["kept.json", "link.json", "pipe"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "g.json"
    EXAMPLE.save(file)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(GenotypeError, match="cannot be written: no space left"):
        chain({}).save(file)
    assert Genotype.load(file) == EXAMPLE and os.listdir(tmp_path) == ["g.json"]


# Anything at all ------------------------------------------------------------------------------------------------

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(OPERATORS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a JSON value."""
    if not isinstance(value, (dict, list)):
        return []
    items = list(value.items() if isinstance(value, dict) else enumerate(value))
    return [(value, key) for key, _ in items] + [place for _, inner in items for place in places(inner)]


def check_dict(values: Any) -> None:
    try:
        genotype = Genotype.from_dict(values)
    except GenotypeError as error:
        message = str(error)
    else:
        message = "-"
        assert Genotype.from_dict(genotype.to_dict()) == genotype
    assert message.isprintable() and 0 < len(message) < 600


@given(st.data())
def test_any_change_to_a_dict_gives_a_genotype_or_its_error(data: st.DataObject) -> None:
    values = EXAMPLE.to_dict()
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(places(values)))
        action = data.draw(st.sampled_from(["replace", "delete", "add"]))
        if action == "replace":
            container[key] = data.draw(JSON_VALUES)
        elif action == "delete":
            del container[key]
        elif isinstance(container, dict):
            container[data.draw(st.text(max_size=5) | st.integers())] = data.draw(JSON_VALUES)
        else:
            container.append(data.draw(JSON_VALUES))
    check_dict(values)


@given(JSON_VALUES)
def test_any_value_gives_a_genotype_or_its_error(value: Any) -> None:
    check_dict(value)
    for f in fields(Block):
        check_dict(replaced(EXAMPLE, 0, f.name, value))


@given(st.integers(0, 10**6), st.binary(max_size=4), st.integers(0, 8))
def test_any_change_to_a_file_gives_a_genotype_or_its_error(
    tmp_path_factory: pytest.TempPathFactory, position: int, inserted: bytes, removed: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "mutated.json"
    EXAMPLE.save(path)
    content = path.read_bytes()
    position %= len(content)
    path.write_bytes(content[:position] + inserted + content[position + removed :])
    message = f"{path}: loads"
    try:
        Genotype.load(path)
    except GenotypeError as error:
        message = str(error)
    assert message.startswith(f"{path}: ") and message.isprintable()


def test_specifications_load_without_torch() -> None:
    code = (
        "import sys, nasrec.genotype, nasrec.features, nasrec.space, nasrec.presets, nasrec.interop.release as r;"
        "r.dump_genotype(nasrec.presets.load('kdd-full')); sys.exit('torch' in sys.modules)"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        ).returncode
        == 0
    )
