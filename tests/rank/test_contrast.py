"""Differences between rankings: which are paired, their size, and intervals that pairing narrows."""

from __future__ import annotations

import numpy as np
import pytest

from nasrec.rank.contrast import contrasts
from nasrec.rank.study import Ranked, Variant, matrix, rank

COUNT = 40


def ranked(variant: Variant, finetune: int, noise: float, seed: int = 0) -> Ranked:
    """Losses 1..N, predicted with noise that all rankings share but for its size."""
    truth = np.arange(COUNT, dtype=float)
    predicted = truth + noise * np.random.default_rng(seed).normal(size=COUNT)
    return rank(variant.name, finetune, variant.traits, tuple(truth), tuple(predicted), resamples=50)


def test_pairs_differ_in_one_trait_alone() -> None:
    variants = matrix(balanced=(True, False), seeds=2)
    found = contrasts([ranked(variant, steps, 1.0, seed) for seed, variant in enumerate(variants) for steps in (0, 9)])
    assert {one.trait: one.pairs for one in found} == {
        "paths": 2 * 2 * 2 * 2, "masking": 3 * 2 * 2 * 2, "dot-product": 3 * 2 * 2 * 2, "fine-tuned": 3 * 2 * 2 * 2
    }  # fmt: skip
    assert len([one for one in found if one.trait == "paths"]) == 3  # any two of three strategies
    tuned = next(one for one in found if one.trait == "fine-tuned")
    assert (tuned.of, tuned.over) == (9, 0) and tuned.statistics["kendall"].value == 0  # the same scores


def test_differences_are_means_over_the_pairs() -> None:
    both = [
        ranked(Variant(masking=masking, seed=seed), 0, noise, seed)
        for masking, noise in (("sliced", 9.0), ("published", 3.0))
        for seed in (0, 1)
    ]  # type: ignore[misc]
    (found,) = contrasts(both)
    taus = [one.agreement.statistics["kendall"].value for one in both]
    assert (found.trait, found.of, found.over, found.pairs) == ("masking", "published", "sliced", 2)
    kendall = found.statistics["kendall"]
    assert kendall.value == pytest.approx(np.mean(taus[2:]) - np.mean(taus[:2]))
    assert 0 < kendall.low < kendall.value < kendall.high
    assert found.statistics["regret_top_1"].value <= 0


def test_one_ranking_has_no_contrast() -> None:
    assert contrasts([ranked(Variant(), 0, 1.0)]) == []


def test_variants_of_further_seeds_have_names_of_their_own() -> None:
    names = [variant.name for variant in matrix(seeds=2)]
    assert len(set(names)) == len(names) == 12
    assert Variant(seed=0).name + "-seed-1" == Variant(seed=1).name
