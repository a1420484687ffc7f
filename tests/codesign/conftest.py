"""A small space of designs and a supernet of it, untrained, which ranks as well as any here."""

from __future__ import annotations

from typing import Any

import pytest

from nasrec import SearchSpace, Supernet
from nasrec.codesign import CodesignSpace, Gene, HardwareSpace
from nasrec.data import synthesize
from nasrec_pim import Hardware

GENES = (
    Gene("crossbar.size", (64, 128)),
    Gene("device.cell_bits", (1, 2)),
    Gene("adc.choice", (7, 2)),
    Gene("mapping.copies", (1, 4)),
)


@pytest.fixture(scope="session")
def hardware() -> HardwareSpace:
    return HardwareSpace(Hardware.preset("default"), GENES)


@pytest.fixture(scope="session")
def space(hardware: HardwareSpace) -> CodesignSpace:
    return CodesignSpace(SearchSpace.codesign(2, dense_dims=(16, 32), sparse_dims=(16,)), hardware)


@pytest.fixture(scope="session")
def splits() -> Any:
    return synthesize("frappe", 1500, seed=0).log.split()


@pytest.fixture(scope="session")
def net(space: CodesignSpace, splits: Any) -> Supernet:
    return Supernet(space.model, splits.train.features(8), masking="sliced", seed=0)
