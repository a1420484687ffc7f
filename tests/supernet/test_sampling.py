"""The laws of the three strategies, of the counts and of the warm-up."""

from __future__ import annotations

import numpy as np
import pytest

from nasrec import Genotype, SearchSpace
from nasrec.errors import TrainError
from nasrec.genotype import INPUTS
from nasrec.supernet import STRATEGIES, PathSampler, PathSampling

SPACE = SearchSpace.full(4, dense_dims=(16, 32, 64), sparse_dims=(16, 32))
STEPS = 400


def sampler(space: SearchSpace = SPACE, steps: int = 0, seed: int = 3, **options: object) -> PathSampler:
    return PathSampler(space, space.widest(), PathSampling(**options), steps, seed)  # type: ignore[arg-type]


def paths(count: int = STEPS, **options: object) -> list[Genotype]:
    draws = sampler(**options)  # type: ignore[arg-type]
    return [draws.path(step) for step in range(count)]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("counts", ["uniform", "binomial"])
@pytest.mark.parametrize("cap", [None, 2])
def test_paths_are_members_and_obey_the_strategy(strategy: str, counts: str, cap: int | None) -> None:
    space = SearchSpace.full(4, dense_dims=(16, 32), sparse_dims=(16,), max_inputs=cap)
    operators, inputs = set(), set()
    for path in paths(200, space=space, strategy=strategy, counts=counts):
        assert path in space
        for index, block in enumerate(path.blocks):
            operators.add(len(block.operators))
            inputs.update(len(getattr(block, name)) for name in INPUTS[:2] if index == 3)
    assert operators == (set(range(2, 7)) if strategy.startswith("any") else {2})
    assert inputs == ({1} if strategy.endswith("single-connection") else set(range(1, (cap or 4) + 1)))


@pytest.mark.parametrize(("counts", "shares"), [("uniform", (1, 1, 1, 1)), ("binomial", (1, 3, 3, 1))])
def test_counts_of_connections(counts: str, shares: tuple[int, ...]) -> None:
    """Of four possible inputs: each number as likely, or 1 + Bin(3, 1/2)."""
    found = [len(path.blocks[3].dense_inputs) for path in paths(2000, counts=counts)]
    observed = np.bincount(found, minlength=5)[1:] / 2000
    expected = np.array(shares) / sum(shares)
    # Four standard deviations of a share over 2000 draws.
    assert np.all(np.abs(observed - expected) < 4 * np.sqrt(expected * (1 - expected) / 2000))


def test_operators_and_widths_are_drawn_evenly() -> None:
    found = paths(1500)
    for name in SPACE.dense_operators:
        share = np.mean([name in path.blocks[1].operators for path in found])
        assert share == pytest.approx(1 / len(SPACE.dense_operators), abs=0.05)
    for width in SPACE.dense_widths:
        assert np.mean([path.blocks[2].dense_width == width for path in found]) == pytest.approx(1 / 3, abs=0.05)


def test_the_warm_up_falls_linearly_from_one_to_zero() -> None:
    draws = sampler(steps=1000, warmup_share=0.2)
    assert [draws.full_probability(step) for step in (0, 50, 100, 150, 200, 999)] == pytest.approx(
        [1, 0.75, 0.5, 0.25, 0, 0]
    )
    full = np.array([draws.path(step) == draws.widest for step in range(1000)])
    assert full[0] and not full[200:].any()
    # Sums of independent trials: mean 100.5 of 200, and of each quarter, within four standard deviations.
    for start, expected in ((0, 43.9), (50, 31.4), (100, 18.9), (150, 6.4)):
        assert abs(full[start : start + 50].sum() - expected) < 4 * np.sqrt(50 * 0.25)
    assert abs(full.sum() - 100.5) < 4 * np.sqrt(200 / 6)
    assert not any(sampler(steps=1000, warmup_share=0).path(step) == draws.widest for step in range(20))
    assert sampler(steps=10, warmup_share=1.0).full_probability(5) == 0.5


def test_warming_up_changes_no_other_path() -> None:
    with_warmup, without = sampler(steps=100, warmup_share=0.5), sampler(steps=100, warmup_share=0)
    pairs = [(with_warmup.path(step), without.path(step)) for step in range(100)]
    assert all(one == other or one == with_warmup.widest for one, other in pairs)
    assert sum(one != other for one, other in pairs) > 5


def test_a_path_follows_from_seed_and_step() -> None:
    draws, again = sampler(steps=50), sampler(steps=50)
    forward = [draws.path(step) for step in range(50)]
    assert [again.path(step) for step in reversed(range(50))][::-1] == forward
    other = sampler(steps=50, seed=4)
    assert sum(other.path(step) == path for step, path in enumerate(forward) if step > 10) == 0


def test_the_widest_path_holds_everything() -> None:
    space = SearchSpace.full(3, max_inputs=1, max_gate_inputs=1, operators_per_branch="single", operator_bits=(4, 8))
    widest = space.widest()
    assert widest not in space
    for index, block in enumerate(widest.blocks):
        assert block.operators == space.operators and block.operator_bits == (8,) * 6
        assert all(getattr(block, name) == tuple(range(index + 1)) for name in INPUTS)
        assert block.dense_width == 1024 and block.sparse_width == 64 and block.fm and block.dense_to_sparse
    bare = SearchSpace.full(1, dense_to_sparse=(False,), fm=(False,)).widest()
    assert not bare.blocks[0].fm and not bare.blocks[0].dense_to_sparse, "what no path has, the widest has not"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strategy": "all"}, "strategy 'all' is unknown; use one of single-operator-single-connection"),
        ({"counts": "poisson"}, "counts 'poisson' is unknown"),
        ({"warmup_share": 1.5}, "warmup_share is a share of the steps, from 0 to 1, got 1.5"),
        ({"warmup_share": True}, "warmup_share"),
    ],
)
def test_bad_settings(options: dict[str, object], message: str) -> None:
    with pytest.raises(TrainError, match=message):
        PathSampling(**options)  # type: ignore[arg-type]
