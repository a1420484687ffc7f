from __future__ import annotations

import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasrec import presets
from nasrec.errors import SpaceError
from nasrec.genotype import DENSE_OPERATORS, INPUTS, SPARSE_OPERATORS, Block, Genotype
from nasrec.space import MUTATIONS, SearchSpace

PUBLISHED = {"full": SearchSpace.full(), "small": SearchSpace.small(), "codesign": SearchSpace.codesign()}

TINY: dict[str, SearchSpace] = {
    "pinned": SearchSpace(
        1, ("fc",), ("efc",), (16,), (16,), dense_to_sparse=(False,), fm=(True,), layer_norm=(False,)
    ),
    "one block": SearchSpace.full(1, (16, 32), (8,)),
    "both norms": SearchSpace.small(1, (16,), (8, 16), layer_norm=(False, True)),
    "two blocks": SearchSpace(2, ("fc", "sum"), ("efc",), (16,), (8,), dense_to_sparse=(True,), fm=(False,)),
    "capped": SearchSpace.small(2, (16,), (8,), max_inputs=1, max_gate_inputs=1),
    "gates capped": SearchSpace(2, ("sum",), ("efc",), (16,), (8,), (True,), (True,), max_gate_inputs=1),
    "three blocks": SearchSpace(3, ("fc",), ("efc",), (16,), (8,), (True,), (True,), max_inputs=1, max_gate_inputs=1),
    "precisions": SearchSpace.small(1, (16,), (8,), operator_bits=(4, 8), fm=(False,)),
    "single precisions": SearchSpace.codesign(1, (16, 32), (8,), fm=(False,)),
    "only precisions": SearchSpace(1, ("fc",), ("efc",), (16,), (8,), (True,), (True,), operator_bits=(2, 4, 8)),
    "both precisions": SearchSpace.small(1, (16,), (8,), operator_bits=(4, 8), activation_bits=(4, 6), fm=(False,)),
}


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def spaces() -> st.SearchStrategy[SearchSpace]:
    """Any well-formed space."""

    def some(values: list[Any]) -> st.SearchStrategy[list[Any]]:
        return st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True)

    caps = st.none() | st.integers(1, 5)
    return st.builds(
        SearchSpace,
        num_blocks=st.integers(1, 5),
        dense_operators=some(list(DENSE_OPERATORS)),
        sparse_operators=some(list(SPARSE_OPERATORS)),
        dense_widths=some([1, 16, 100, 65536]),
        sparse_widths=some([1, 16, 4096]),
        dense_to_sparse=some([False, True]),
        fm=some([False, True]),
        max_inputs=caps,
        max_gate_inputs=caps,
        operators_per_branch=st.sampled_from(["any", "single"]),
        operator_bits=some([2, 4, 8]) | st.just([]),
        activation_bits=some([2, 8]) | st.just([]),
        layer_norm=some([False, True]),
    )


# Sizes ----------------------------------------------------------------------------------------------------------


def everything(space: SearchSpace) -> Iterator[Genotype]:
    """All genotypes whose values occur in the space, members or not: a plain product over fields."""

    def subsets(values: Any) -> list[tuple[Any, ...]]:
        return [c for n in range(1, len(values) + 1) for c in itertools.combinations(values, n)]

    per_block = []
    for k in range(space.num_blocks):
        inputs = subsets(range(k + 1))
        blocks = []
        for dense, sparse in itertools.product(subsets(space.dense_operators), subsets(space.sparse_operators)):
            operators = dense + sparse
            precisions = [
                [(), *(itertools.product(choices, repeat=len(operators)) if choices else ())]
                for choices in (space.operator_bits, space.activation_bits)
            ]
            blocks += [
                Block(operators, d, s, *sides, *mergers, *bits)  # type: ignore[call-arg, arg-type]
                for d, s in itertools.product(space.dense_widths, space.sparse_widths)
                for sides in itertools.product(inputs, repeat=4)
                for mergers in itertools.product((False, True), repeat=2)
                for bits in itertools.product(*precisions)
            ]
        per_block.append(blocks)
    for blocks_chosen in itertools.product(*per_block):
        for layer_norm in (False, True):
            yield Genotype(tuple(blocks_chosen), layer_norm)


@pytest.mark.parametrize("name", TINY)
def test_enumeration_gives_every_member_once(name: str) -> None:
    space = TINY[name]
    members = list(space.enumerate())
    assert len(members) == len(set(members)) == space.cardinality()
    assert all(member in space for member in members)
    assert {member.space for member in members} == {space.published}


@pytest.mark.parametrize(
    "name",
    ["pinned", "one block", "both norms", "precisions", "single precisions", "only precisions", "both precisions"],
)
def test_enumeration_agrees_with_membership(name: str) -> None:
    space = TINY[name]
    assert {g for g in everything(space) if g in space} == set(space.enumerate())


def test_enumeration_of_two_blocks_agrees_with_membership() -> None:
    space = SearchSpace(2, ("fc",), ("efc",), (16,), (8,), fm=(True,), max_inputs=1)
    assert {g for g in everything(space) if g in space} == set(space.enumerate())


def test_enumeration_is_lazy() -> None:
    space = SearchSpace.full(64)
    assert all(g in space for g in itertools.islice(space.enumerate(), 3))


def test_exact_cardinalities_by_hand() -> None:
    micro = 15 * 3 * 8 * 4 * 2 * 2
    assert SearchSpace.full(1).cardinality() == micro
    assert SearchSpace.full(2).cardinality() == micro**2 * 3**4
    assert SearchSpace.full(2, max_gate_inputs=1).cardinality() == micro**2 * 3**2 * 2**2
    assert SearchSpace.full(7).cardinality() == micro**7 * math.prod(2**k - 1 for k in range(1, 8)) ** 4
    assert SearchSpace.full(7, max_inputs=4, max_gate_inputs=1).cardinality() == micro**7 * math.prod(
        sum(math.comb(k, n) for n in range(1, 5)) ** 2 * k**2 for k in range(1, 8)
    )
    assert SearchSpace.full(1, operator_bits=(4, 8)).cardinality() == (3**4 - 1) * (3**2 - 1) * 8 * 4 * 2 * 2
    assert SearchSpace.codesign(1).cardinality() == 2 * 1 * 8 * 4 * 2 * 2 * 4
    assert SearchSpace.codesign(1, activation_bits=(4, 6, 8)).cardinality() == 2 * 1 * 8 * 4 * 2 * 2 * 4 * 9
    assert SearchSpace.codesign().published_cardinality() == SearchSpace.small().published_cardinality() * 2**14
    assert SearchSpace.full(1, layer_norm=(False, True)).cardinality() == 2 * micro


def test_published_cardinalities() -> None:
    full, small, codesign = (PUBLISHED[name].published_cardinality() for name in ("full", "small", "codesign"))
    assert full == (15 * 3 * 8 * 4 * 2 * 2) ** 7 * math.factorial(7) ** 2
    assert f"{full:.1e}" == "5.3e+33"
    assert full == small * 15**7
    assert codesign == small * 2**14
    assert SearchSpace.full(3, (16,), (16,), fm=(True,)).published_cardinality() == (15 * 3 * 2) ** 3 * 6**2
    assert type(full) is int


# Membership -----------------------------------------------------------------------------------------------------

MEMBER = Genotype(
    (
        Block(("fc", "efc"), 16, 16, (0,), (0,), (0,), (0,), dense_to_sparse=False, fm=True),
        Block(("dot_product", "efc"), 32, 64, (0, 1), (1,), (0,), (1,), dense_to_sparse=True, fm=True),
    )
)


def with_second(**changes: Any) -> Genotype:
    return Genotype((MEMBER.blocks[0], replace(MEMBER.blocks[1], **changes)))


@pytest.mark.parametrize(
    ("genotype", "overrides", "reason"),
    [
        (Genotype(MEMBER.blocks[:1]), {}, "it has 1 blocks, the space 2"),
        (Genotype(MEMBER.blocks, layer_norm=False), {}, "layer_norm = False is not allowed"),
        (with_second(operators=("sum", "efc")), {}, "block 1: operator sum is not one of fc, dot_product, efc"),
        (
            with_second(operators=("fc", "dot_product", "efc")),
            {"operators_per_branch": "single"},
            "block 1: 3 operators",
        ),
        (with_second(dense_width=17), {}, "block 1: dense_width = 17 is not one of 16, 32"),
        (with_second(sparse_width=17), {}, "block 1: sparse_width = 17"),
        (MEMBER, {"fm": False}, "block 0: fm = True is not allowed"),
        (MEMBER, {"dense_to_sparse": (False,)}, "block 1: dense_to_sparse = True"),
        (MEMBER, {"max_inputs": 1}, "block 1: dense_inputs names 2 inputs, at most 1 are allowed"),
        (with_second(left_inputs=(0, 1)), {"max_gate_inputs": 1}, "block 1: left_inputs names 2"),
        (MEMBER, {"operator_bits": (4, 8)}, "block 0: operator_bits must be given"),
        (with_second(operator_bits=(4, 8)), {}, "block 1: operator_bits must be empty"),
        ("fc", {}, "it is a str, not a Genotype"),
    ],
)
def test_why_not_names_block_and_field(genotype: Any, overrides: dict[str, Any], reason: str) -> None:
    assert MEMBER in SearchSpace.small(2)
    space = SearchSpace.small(2, **overrides)
    assert genotype not in space
    said = space.violation(genotype)
    assert said is not None and said.startswith(reason)
    for call in (space.encode, lambda g: space.mutate(g, generator())):
        with pytest.raises(SpaceError, match=re.escape(reason)):
            call(genotype)


def test_precisions_out_of_the_choice_are_named() -> None:
    space = SearchSpace.small(1, operator_bits=(4, 8))
    block = replace(MEMBER.blocks[0], operator_bits=(4, 16))
    assert space.violation(Genotype((block,))) == "block 0: operator_bits = 16 is not one of 4, 8"
    assert space.violation(Genotype((replace(block, operator_bits=(4, 8)),))) is None


def test_presets_belong_to_their_spaces() -> None:
    for name in presets.names():
        genotype = presets.load(name)
        assert genotype in PUBLISHED["full"]
        assert (genotype in PUBLISHED["small"]) == name.endswith("small")


# Samples --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_thousand_samples_are_members_that_survive_mutation_and_encoding(name: str) -> None:
    space, rng = PUBLISHED[name], generator(7)
    for _ in range(1000):
        genotype = space.sample(rng)
        assert space.violation(genotype) is None and genotype.space == space.published
        child = space.mutate(genotype, rng)
        assert child in space and child != genotype
        assert space.decode(space.encode(child)) == child


@given(
    spaces(), st.integers(0, 2**32), st.sampled_from(["any", "single", None]), st.sampled_from(["uniform", "binomial"])
)
def test_samples_of_any_space_are_members(space: SearchSpace, seed: int, operators: Any, counts: Any) -> None:
    genotype = space.sample(generator(seed), operators=operators, counts=counts)
    assert space.violation(genotype) is None
    assert genotype == space.sample(generator(seed), operators=operators, counts=counts)
    if operators == "single":
        assert all(len(block.operators) == 2 for block in genotype.blocks)
    assert Genotype.from_dict(genotype.to_dict()) == genotype
    child = space.mutate(genotype, generator(seed))
    assert space.violation(child) is None and child == space.mutate(genotype, generator(seed))
    assert space.decode(space.encode(child)) == child


def frequencies_are_equal(counts: Counter[Any], categories: int) -> bool:
    """Pearson's chi-squared statistic against equal frequencies, below its mean plus five standard deviations."""
    expected = counts.total() / categories
    statistic = sum((n - expected) ** 2 / expected for n in counts.values())
    statistic += (categories - len(counts)) * expected
    return statistic < categories - 1 + 5 * math.sqrt(2 * (categories - 1))


def test_every_choice_is_as_likely() -> None:
    space, rng = SearchSpace.full(4), generator(1)
    last = [space.sample(rng).blocks[-1] for _ in range(4000)]
    assert frequencies_are_equal(Counter(b.dense_operators for b in last), 15)
    assert frequencies_are_equal(Counter(b.sparse_operators for b in last), 3)
    assert frequencies_are_equal(Counter(b.dense_width for b in last), 8)
    assert frequencies_are_equal(Counter(b.sparse_width for b in last), 4)
    assert frequencies_are_equal(Counter((b.dense_to_sparse, b.fm) for b in last), 4)
    for name in INPUTS:
        assert frequencies_are_equal(Counter(len(getattr(b, name)) for b in last), 4)
        assert frequencies_are_equal(Counter(i for b in last for i in getattr(b, name)), 4)


def test_counts_of_inputs_can_be_binomial() -> None:
    rng = generator(2)
    last = [SearchSpace.full(4).sample(rng, counts="binomial").blocks[-1] for _ in range(4000)]
    counts = Counter(len(b.dense_inputs) for b in last)
    for count, ways in zip(range(1, 5), (1, 3, 3, 1), strict=True):
        assert counts[count] / 4000 == pytest.approx(ways / 8, abs=0.03)


def test_a_space_of_single_operators_never_gives_more() -> None:
    genotype = PUBLISHED["codesign"].sample(generator(), operators="any")
    assert all(len(block.operators) == 2 for block in genotype.blocks)


def test_precisions_are_drawn_for_each_operator() -> None:
    space, rng = SearchSpace.small(1, operator_bits=(2, 4, 8)), generator(3)
    drawn = [space.sample(rng).blocks[0] for _ in range(3000)]
    assert all(len(b.operator_bits) == len(b.operators) for b in drawn)
    assert frequencies_are_equal(Counter(b.operator_bits for b in drawn if b.operators == ("fc", "efc")), 9)


@pytest.mark.parametrize(
    "arguments", [{"operators": "many"}, {"operators": ["any"]}, {"counts": "normal"}, {"counts": None}]
)
def test_unknown_ways_to_sample_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(SpaceError, match=r"^(operators|counts) must be"):
        SearchSpace.small(1).sample(generator(), **arguments)


@pytest.mark.parametrize("rng", [0, None, np.random])
def test_anything_but_a_generator_is_refused(rng: Any) -> None:
    space = SearchSpace.small(1)
    with pytest.raises(SpaceError, match="Generator"):
        space.sample(rng)
    with pytest.raises(SpaceError, match="Generator"):
        space.mutate(space.sample(generator()), rng)


# Mutations ------------------------------------------------------------------------------------------------------


def genes(block: Block) -> dict[str, Any]:
    """A block's choices by the mutation that changes each; connections and mergers one by one."""
    bits = block.precisions
    return {
        "dense width": block.dense_width,
        "sparse width": block.sparse_width,
        "dense operators": [(o, bits.get(o)) for o in block.dense_operators],
        "sparse operators": [(o, bits.get(o)) for o in block.sparse_operators],
        **{f"connection {name}": getattr(block, name) for name in INPUTS},
        "merger dense_to_sparse": block.dense_to_sparse,
        "merger fm": block.fm,
    }


def changes(parent: Genotype, child: Genotype) -> list[tuple[int, str]]:
    assert parent.layer_norm == child.layer_norm
    return [
        (index, name)
        for index, (old, new) in enumerate(zip(parent.blocks, child.blocks, strict=True))
        for name, value in genes(old).items()
        if genes(new)[name] != value
    ]


@given(spaces(), st.integers(0, 2**32))
def test_a_mutation_changes_one_choice_of_one_block(space: SearchSpace, seed: int) -> None:
    rng = generator(seed)
    parent = space.sample(rng)
    child = space.mutate(parent, rng)
    found = changes(parent, child)
    # layer norm is no mutation of the paper, and connections that no operator of the space reads stay
    architectures = space.cardinality() // len(space.layer_norm)
    if not set(space.dense_operators) & {"sigmoid_gating", "sum"}:
        architectures //= math.prod(
            sum(math.comb(k + 1, n) for n in range(1, space.input_cap(k, "left_inputs") + 1)) ** 2
            for k in range(space.num_blocks)
        )
    if not set(space.dense_operators) & {"fc", "dot_product"}:
        architectures //= math.prod(
            sum(math.comb(k + 1, n) for n in range(1, space.input_cap(k, "dense_inputs") + 1))
            for k in range(space.num_blocks)
        )
    assert len(found) == (1 if architectures > 1 else 0)


def test_the_six_mutations_are_as_likely() -> None:
    space, rng = SearchSpace.full(3), generator(4)
    parent = space.sample(rng)
    moves: Counter[str] = Counter()
    blocks: Counter[int] = Counter()
    for _ in range(3000):
        [(index, name)] = changes(parent, space.mutate(parent, rng))
        moves[" ".join(name.split()[:1]) if name.startswith(("connection", "merger")) else name] += 1
        if not name.startswith("connection"):  # block 0 has only one to choose
            blocks[index] += 1
    assert set(moves) == set(MUTATIONS)
    assert frequencies_are_equal(moves, 6)
    assert frequencies_are_equal(blocks, 3)


def test_mutation_reaches_all_of_a_space() -> None:
    space, rng = (
        SearchSpace(2, ("fc", "sum"), ("efc",), (16,), (8,), (True,), (False,), max_gate_inputs=1),
        generator(5),
    )
    members = set(space.enumerate())
    here = next(space.enumerate())
    seen = {here}
    for _ in range(20 * len(members)):
        here = space.mutate(here, rng)
        seen.add(here)
    assert len(members) == 324 and seen == members


def test_a_space_without_choice_gives_the_parent_back() -> None:
    space = TINY["pinned"]
    assert space.cardinality() == 1
    only = space.sample(generator())
    assert space.mutate(only, generator()) == only


def test_where_only_precisions_are_left_they_change() -> None:
    space, rng = TINY["only precisions"], generator(6)
    parent = space.sample(rng)
    children = {space.mutate(parent, rng) for _ in range(200)}
    assert parent not in children and len(children) == 4
    assert all(len(changes(parent, child)) == 1 for child in children)


def test_precisions_of_the_other_branch_stay() -> None:
    space, rng = SearchSpace.full(1, operator_bits=(2, 4, 8)), generator(7)
    for _ in range(300):
        parent = space.sample(rng)
        assert len(changes(parent, space.mutate(parent, rng))) == 1


def test_connections_that_nothing_reads_are_not_mutated() -> None:
    space, rng = SearchSpace.small(5), generator(8)
    parent = space.sample(rng)
    names = {name for _ in range(500) for _, name in changes(parent, space.mutate(parent, rng))}
    assert {"connection dense_inputs", "connection sparse_inputs"} <= names
    assert not names & {"connection left_inputs", "connection right_inputs"}


def test_a_child_belongs_to_its_space_and_has_no_name() -> None:
    parent, space, rng = presets.load("criteo-small"), PUBLISHED["full"], generator(9)
    children = [space.mutate(parent, rng) for _ in range(100)]
    assert {(child.name, child.space) for child in children} == {("", "full")}
    assert any("attention" in block.operators for child in children for block in child.blocks)


# Encoding -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TINY)
def test_encodings_are_distinct_and_come_back(name: str) -> None:
    space = TINY[name]
    seen = set()
    for member in space.enumerate():
        vector = space.encode(member)
        assert vector.shape == (space.encoding_length,) and vector.dtype == np.int64
        assert (
            space.decode(vector) == space.decode(vector.astype(np.float32)) == space.decode(vector.tolist()) == member
        )
        assert space.decode(vector).space == space.published
        seen.add(vector.tobytes())
    assert len(seen) == space.cardinality()


@given(spaces(), st.data())
def test_any_vector_is_a_member_or_an_error(space: SearchSpace, data: st.DataObject) -> None:
    vector = space.encode(space.sample(generator(data.draw(st.integers(0, 99)))))
    for _ in range(data.draw(st.integers(1, 3))):
        vector[data.draw(st.integers(0, len(vector) - 1))] = data.draw(
            st.integers(-2, 5) | st.integers(-(2**63), 2**63 - 1)
        )
    try:
        genotype = space.decode(vector)
    except SpaceError as error:
        message = str(error)
    else:
        message = "-"
        assert genotype in space and np.array_equal(space.encode(genotype), vector)
    assert message.isprintable() and 0 < len(message) < 300


def test_vectors_of_another_kind_are_refused() -> None:
    space = SearchSpace.small(2)
    good = space.encode(space.sample(generator())).astype(np.float64)
    wrong: list[Any] = [good[:-1], np.append(good, 0), good[None], good.astype(str), good.astype(bool), good + 0.5]
    wrong += [
        good * np.nan,
        np.where(good == 0, np.inf, good),
        None,
        "vector",
        [[1], [2, 3]],
        [10**5000] * len(good),
        {},
    ]
    for vector in wrong:
        with pytest.raises(SpaceError):
            space.decode(vector)


# Definition -----------------------------------------------------------------------------------------------------


def test_choices_are_kept_in_order() -> None:
    values: list[Any] = [["sum", "fc"], ["efc", "attention"], np.array([64, 16]), range(8, 0, -4), True, [True, False]]
    space = SearchSpace(2, *values)
    assert (space.dense_operators, space.sparse_operators) == (("fc", "sum"), ("attention", "efc"))
    assert (space.dense_widths, space.sparse_widths) == ((16, 64), (4, 8))
    assert (space.dense_to_sparse, space.fm) == ((True,), (False, True))
    assert space.operators == ("fc", "sum", "attention", "efc")
    hash(space)


def test_published_spaces() -> None:
    full, small, codesign = PUBLISHED.values()
    assert full.operators == DENSE_OPERATORS + SPARSE_OPERATORS
    assert full.dense_widths == (16, 32, 64, 128, 256, 512, 768, 1024) and full.sparse_widths == (16, 32, 48, 64)
    assert small == replace(full, dense_operators=("fc", "dot_product"), sparse_operators=("efc",))
    assert codesign == replace(small, operator_bits=(4, 8), activation_bits=(8,), operators_per_branch="single")
    assert (full.published, small.published, codesign.published) == ("full", "small", "small")
    assert SearchSpace.full(num_blocks=3, dense_dims=(16,), sparse_dims=(16,), max_inputs=4) == SearchSpace(
        3, dense_widths=(16,), sparse_widths=(16,), max_inputs=4
    )


BAD: list[tuple[str, Any]] = [
    ("num_blocks", 0),
    ("num_blocks", 65),
    ("num_blocks", True),
    ("num_blocks", 7.0),
    ("num_blocks", 10**5000),
    ("dense_operators", ()),
    ("dense_operators", ("fc", "fc")),
    ("dense_operators", ("efc",)),
    ("dense_operators", "fc"),
    ("dense_operators", (["fc"],)),
    ("dense_operators", None),
    ("sparse_operators", ()),
    ("sparse_operators", ("fc",)),
    ("dense_widths", ()),
    ("dense_widths", (0,)),
    ("dense_widths", (16, 16)),
    ("dense_widths", (16.0,)),
    ("dense_widths", (True,)),
    ("dense_widths", 16),
    ("dense_widths", "16"),
    ("dense_widths", (10**5000,)),
    ("dense_widths", [[16]]),
    ("sparse_widths", (4097,)),
    ("sparse_widths", None),
    ("dense_to_sparse", ()),
    ("dense_to_sparse", (1,)),
    ("dense_to_sparse", (True, True)),
    ("dense_to_sparse", "choice"),
    ("fm", None),
    ("fm", (0, 1)),
    ("layer_norm", ()),
    ("layer_norm", 1),
    ("max_inputs", 0),
    ("max_inputs", True),
    ("max_inputs", 2.5),
    ("max_gate_inputs", -1),
    ("max_gate_inputs", "1"),
    ("operators_per_branch", "many"),
    ("operators_per_branch", ["any"]),
    ("operators_per_branch", None),
    ("operator_bits", (1,)),
    ("operator_bits", (17,)),
    ("operator_bits", (8, 8)),
    ("operator_bits", 8),
]


@pytest.mark.parametrize(("name", "value"), BAD, ids=[f"{name}-{i}" for i, (name, _) in enumerate(BAD)])
def test_a_bad_field_is_named(name: str, value: Any) -> None:
    for make in (SearchSpace.from_dict, lambda values: SearchSpace.full(**values)):
        if name in ("dense_widths", "sparse_widths") and make is not SearchSpace.from_dict:
            continue
        with pytest.raises(SpaceError, match=rf"^{name} must") as error:
            make({name: value})
        assert str(error.value).isprintable() and len(str(error.value)) < 300


def test_narrowed_widths_are_checked_too() -> None:
    wrong: list[Any] = [16, (), (0,), "16", None]
    for dims in wrong:
        with pytest.raises(SpaceError, match=r"^dense_widths must"):
            SearchSpace.full(dense_dims=dims)
    with pytest.raises(SpaceError, match=r"no 'dense_width'; allowed: num_blocks"):
        SearchSpace.small(dense_width=(16,))


@given(spaces())
def test_dicts_round_trip(space: SearchSpace) -> None:
    values = json.loads(json.dumps(space.to_dict()))
    assert SearchSpace.from_dict(values) == space
    assert set(values) <= {f.name for f in fields(SearchSpace)}


def test_bad_dicts_are_refused() -> None:
    wrong: list[Any] = [None, [], "small", {"colour": 1}, {1: 2}]
    for values in wrong:
        with pytest.raises(SpaceError):
            SearchSpace.from_dict(values)
    assert SearchSpace.from_dict({}) == SearchSpace()


def test_children_share_out_their_parents_blocks() -> None:
    """Whatever the one child has of a parent, the other has of the other; also where the dot-product is unbalanced."""
    space = SearchSpace.codesign(3, balanced_dot=False, layer_norm=False)
    rng = generator(0)
    one, other = space.sample(rng), space.sample(rng)
    seen = set()
    for _ in range(60):
        first, second = space.cross(one, other, rng)
        assert first in space and second in space
        for a, b, x, y in zip(one.blocks, other.blocks, first.blocks, second.blocks, strict=True):
            assert (x, y) in ((a, b), (b, a))
        seen.add(first)
    assert len(seen) == 2**3
    with pytest.raises(SpaceError, match="cannot cross"):
        space.cross(one, SearchSpace.full(3).sample(rng), rng)
