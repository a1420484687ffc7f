"""Two processes train as one does."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nasrec.train.distributed.context import SINGLE_PROCESS
from tests.train.distributed import rank_processes, ranks_cases
from tests.train.distributed.ranks_cases import CASES

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of one pair of processes that has made all cases, the last of them from this process's checkpoint."""
    path = tmp_path_factory.mktemp("ranks")
    ranks_cases.interrupted(SINGLE_PROCESS, path / "alone")
    shutil.copytree(path / "alone" / "interrupted", path / "resume")
    for rank, end in enumerate(
        rank_processes.ended(rank_processes.start(["-m", "tests.train.distributed.ranks_cases", path]))
    ):
        assert end == (0, "", ""), f"rank {rank}: {end.err}"
    return path


@pytest.fixture(scope="module")
def found(folder: Path) -> list[dict[str, Any]]:
    """What each rank has found, by case."""
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(2)]


def require_close(one: Any, two: Any, where: str = "", rtol: float = 1e-6, atol: float = 1e-7) -> None:
    """Equal but for rounding, however nested."""
    if isinstance(one, dict):
        assert set(one) == set(two), where
        for key in one:
            require_close(one[key], two[key], f"{where} {key}", rtol, atol)
    elif isinstance(one, list):
        assert len(one) == len(two), where
        for i, pair in enumerate(zip(one, two, strict=True)):
            require_close(*pair, f"{where} {i}", rtol, atol)
    elif isinstance(one, torch.Tensor):
        torch.testing.assert_close(one, two, rtol=rtol, atol=atol, equal_nan=True, msg=lambda text: f"{where}: {text}")
    elif isinstance(one, np.ndarray):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6, err_msg=where)
    else:
        assert one == two, where


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_two_ranks_end_alike(found: list[dict[str, Any]], case: ranks_cases.Case) -> None:
    one, two = (each[case.__name__] for each in found)
    require_close(one, two)
    if "weights" in one:
        assert all(torch.equal(tensor, two["weights"][name]) for name, tensor in one["weights"].items())


OTHERWISE = (ranks_cases.resumed, ranks_cases.batch_norm, ranks_cases.few_bits_observed)
ALIKE_ALONE = [case for case in CASES if case not in OTHERWISE]


@pytest.mark.parametrize("case", ALIKE_ALONE, ids=lambda c: c.__name__)
def test_two_ranks_are_one_with_the_same_batch(found: list[dict[str, Any]], tmp_path: Path, case: Any) -> None:
    require_close(found[0][case.__name__], case(SINGLE_PROCESS, tmp_path))


def test_cases_reach_what_they_are_for(found: list[dict[str, Any]]) -> None:
    assert found[0]["adam"]["counts"][2], "no early stop"
    assert found[0]["dense_gradients"]["best"] < found[0]["dense_gradients"]["counts"][0]
    norms = {name: value for name, value in found[0]["batch_norm"]["weights"].items() if "running" in name}
    assert len(norms) == 4 and all(value.std() > 0 for value in norms.values())
    scales = [
        torch.cat([value for name, value in found[0][case]["weights"].items() if name.endswith("act_scale")])
        for case in ("few_bits", "few_bits_observed")
    ]
    assert scales[0].isfinite().all() and scales[1].isfinite().all() and (scales[0] != scales[1]).all()
    assert found[0]["interrupted"]["counts"] == [8, 8 * 64, False, True]


def test_checkpoints_serve_other_numbers_of_ranks(folder: Path, found: list[dict[str, Any]]) -> None:
    """From one rank to two (the pair did that), and from two to one; both end like a run without a break."""
    whole = ranks_cases.resumed(SINGLE_PROCESS, folder / "nothing")
    require_close(found[0]["resumed"], whole)
    shutil.copytree(folder / "interrupted", folder / "back" / "resume")
    require_close(ranks_cases.resumed(SINGLE_PROCESS, folder / "back"), whole)
