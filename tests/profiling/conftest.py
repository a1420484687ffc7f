"""A small genotype that uses every operator, columns for it, and profiles of it that are taken once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

import nasrec
from nasrec import Block, FeatureSpec, Genotype
from nasrec.profiling import Profile, measure, measure_peaks, profile_genotype, profile_graph

FEATURES = FeatureSpec(3, [11, 7, 5, 9])
GENOTYPE = Genotype(
    (
        Block(("fc", "dot_product", "efc"), 16, 16, (0,), (0,), (0,), (0,), True, True),
        Block(("fc", "efc"), 32, 16, (1,), (1,), (1,), (1,), False, False),
        Block(("sigmoid_gating", "sum", "attention"), 32, 16, (0, 1), (0, 1), (1,), (0,), False, True),
    ),
    name="little",
)
"""Values read more than once, a gating, an attention, both mergers; the second block is dead."""


@pytest.fixture
def features() -> FeatureSpec:
    return FEATURES


@pytest.fixture
def genotype() -> Genotype:
    return GENOTYPE


@pytest.fixture(autouse=True)
def peaks_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Peaks are measured once for all tests of a process: their values do not matter to them."""
    monkeypatch.setattr(measure, "measure_peaks", lambda device, again=False: measure_peaks(device))


@pytest.fixture
def profile_of() -> Callable[..., Profile]:
    """`profile_of(what, device="cpu")`: of the small genotype, batch of 6, 3 rounds, beside plain PyTorch."""
    return _profile_of


@functools.cache
def _profile_of(what: str, device: str = "cpu") -> Profile:
    return little(GENOTYPE, FEATURES, what, device=device)


def little(genotype: Genotype, features: FeatureSpec, what: str, **options: Any) -> Profile:
    options = {"batch": 6, "rounds": 3, **options}
    if what == "supernet":
        return profile_genotype(genotype, features, **options)
    return profile_graph(nasrec.graph_of(genotype, features), features, what, **options)  # type: ignore[arg-type]
