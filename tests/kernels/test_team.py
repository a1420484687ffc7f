"""The threads that CPU operators share, and the matrix products they call, seen through the operators."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from nasrec import kernels
from nasrec.kernels import extension

pytestmark = pytest.mark.skipif(extension.extension() is None, reason="the extension is not built")


def work(seed: int = 0) -> torch.Tensor:
    """Enough for several threads to take part."""
    return torch.randn(512, 33, 16, generator=torch.Generator().manual_seed(seed))


def test_calls_from_many_threads_at_once() -> None:
    inputs = [work(seed) for seed in range(8)]
    expected = [kernels.pairwise_dot(x) for x in inputs]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            for out, wanted in zip(pool.map(kernels.pairwise_dot, inputs), expected, strict=True):
                assert torch.equal(out, wanted)


def test_more_threads_than_cores() -> None:
    x, threads = work(), torch.get_num_threads()
    expected = kernels.pairwise_dot(x)
    try:
        torch.set_num_threads(7)
        assert all(torch.equal(kernels.pairwise_dot(x), expected) for _ in range(5))
    finally:
        torch.set_num_threads(threads)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_child_of_a_fork_has_a_team_of_its_own() -> None:
    script = """
import os, sys, torch
from nasrec import kernels
torch.set_num_threads(2)
x = torch.randn(512, 33, 16)
expected = kernels.pairwise_dot(x)
child = os.fork()
out = kernels.pairwise_dot(x)
if child == 0:
    os._exit(0 if torch.equal(out, expected) else 1)
assert torch.equal(out, expected)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert run(script).returncode == 0


def test_flushing_of_denormals_reaches_every_thread() -> None:
    script = """
import torch
from nasrec import kernels
torch.set_num_threads(2)
x = torch.full((512, 33, 16), 1e-22)
if torch.set_flush_denormal(True):
    assert not kernels.pairwise_dot(x).any()
    torch.set_flush_denormal(False)
assert kernels.pairwise_dot(x).all()
"""
    result = run(script)
    assert result.returncode == 0, result.stderr


def test_pinned_threads() -> None:
    """OpenMP may pin the calling thread to one core; the helpers must not end up there with it."""
    script = """
import torch
from nasrec import kernels
torch.set_num_threads(2)
x = torch.randn(512, 33, 16)
assert torch.equal(kernels.pairwise_dot(x), kernels.pairwise_dot(x.clone()))
"""
    result = run(script, OMP_PROC_BIND="true")
    assert result.returncode == 0, result.stderr


def test_unknown_blas_is_one_clear_error() -> None:
    result = run("import nasrec.kernels", NASREC_BLAS="fast")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].endswith("NASREC_BLAS must be own or vendor, got fast")


def run(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    merged = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    return subprocess.run([sys.executable, "-c", script], env=merged, capture_output=True, text=True, timeout=120)
