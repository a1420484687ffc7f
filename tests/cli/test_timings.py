"""A profile in words: what the table says, and what it warns of."""

from __future__ import annotations

from dataclasses import replace

import pytest

import nasrec
from nasrec import FeatureSpec
from nasrec.cli.tables import profile as timings
from nasrec.profiling import Profile, Total, profile_graph

FEATURES = FeatureSpec(3, [5, 7])
MACHINE = {"gpu": None, "cpu": "an abacus", "threads": 1, "omp_wait_policy": None, "packages": {"torch": "2"},
           "kernels": None}  # fmt: skip


@pytest.fixture(scope="module")
def found() -> Profile:
    profile = profile_graph(nasrec.baselines.build("dlrm", FEATURES), FEATURES, batch=4, rounds=1)
    calm = replace(profile.ours, quartiles_s=(0.99 * profile.ours.seconds, 1.01 * profile.ours.seconds))
    return replace(profile, ours=calm, peaks=replace(profile.peaks, threads=2, thread_speedup=1.9))


def notes(profile: Profile) -> list[str]:
    return [line for line in timings.text("little", profile, MACHINE).splitlines() if line.startswith("note")]


def test_a_calm_machine_needs_no_note(found: Profile) -> None:
    assert notes(found) == []


def test_threads_without_a_core_each_are_told(found: Profile) -> None:
    (note,) = notes(replace(found, peaks=replace(found.peaks, thread_speedup=1.04)))
    assert "2 threads" in note and "1.0 times" in note
    assert notes(replace(found, peaks=replace(found.peaks, threads=1, thread_speedup=1.0))) == []


def test_a_busy_machine_is_told(found: Profile) -> None:
    s = found.ours.seconds
    (note,) = notes(replace(found, ours=replace(found.ours, quartiles_s=(0.9 * s, 1.4 * s))))
    assert "50% of the median" in note


def test_a_backend_that_failed_is_told(found: Profile) -> None:
    failed = Total("compile", 0.0, (0.0, 0.0), {}, failure="no compiler")
    profile = replace(found, backends=(*found.backends, failed))
    assert notes(profile) == ["note: torch.compile of ours failed: no compiler"]
    assert "torch.compile of ours  " not in timings.text("little", profile, MACHINE)


def test_backends_are_compared_with_ours(found: Profile) -> None:
    eager = replace(found.backends[0], seconds=2.5 * found.ours.seconds)
    compiled = replace(eager, name="compile", seconds=0.5 * found.ours.seconds, prepare_s=31.4)
    lines = timings.text("little", replace(found, backends=(eager, compiled)), MACHINE).splitlines()
    assert any(line.startswith("plain PyTorch") and line.endswith("2.50x") for line in lines)
    assert any(line.startswith("torch.compile of ours (31 s to compile)") and line.endswith("0.50x") for line in lines)


def test_shares_and_rates(found: Profile) -> None:
    total = 200e-6
    node = replace(found.nodes[-2], forward_s=50e-6)
    profile = replace(found, nodes=(node,), ours=replace(found.ours, seconds=total))
    table = timings.text("little", profile, MACHINE)
    (row,) = (line.split() for line in table.splitlines() if line.startswith(node.id))
    assert row[2:4] == ["50.0", "25.0%"]
    work = node.work.forward
    peaks = profile.peaks
    assert row[-4:-2] == [f"{2e-9 * work.macs / 50e-6:.1f}", f"{2e-9 * work.macs / 50e-6 / peaks.gemm_gflops:.0%}"]
    assert row[-2:] == [
        f"{1e-9 * work.moved_bytes / 50e-6:.1f}",
        f"{1e-9 * work.moved_bytes / 50e-6 / peaks.copy_gb_s:.0%}",
    ]
    (rest,) = (line.split() for line in table.splitlines() if line.startswith("unaccounted"))
    assert rest[1:] == ["150", "75.0%"]


def test_where(found: Profile) -> None:
    assert timings.where(MACHINE) == "an abacus, 1 thread, no OMP_WAIT_POLICY, torch 2, kernels missing: plain PyTorch"
    gpu = MACHINE | {"gpu": "a card", "omp_wait_policy": "passive", "kernels": "avx2"}
    assert timings.where(gpu) == "a card, 1 thread, OMP_WAIT_POLICY passive, torch 2, avx2 kernels"
    assert timings.title("x", found) == "x: forward, batch 4"
    assert timings.title("x", replace(found, what="train", batch=4096)) == "x: training step, batch 4,096"
    step = replace(found, what="supernet", masking="sliced")
    assert timings.title("x", step) == "x: supernet step, sliced masking, batch 4"
