"""Peaks and clocks: units, memory of earlier measurements, and that work is counted once."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Iterator
from dataclasses import fields, replace

import pytest
import torch

from nasrec.profiling import Peaks, measure_peaks, peaks
from nasrec.profiling.clock import clock_of, quiet, seconds_of


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_floor_adds_products_and_bytes() -> None:
    roofs = Peaks("cpu", "float32", 2, gemm_gflops=200.0, copy_gb_s=20.0, cached_copy_gb_s=40.0)
    assert roofs.least_seconds(macs=100e9, moved_bytes=40e9) == pytest.approx(1.0 + 2.0)
    assert roofs.least_seconds(0, 0) == 0


def test_measured_once_for_each_setting(device: str, one_thread: None) -> None:
    first = measure_peaks(device)
    assert measure_peaks(torch.device(device)) is first
    assert (first.device, first.dtype, first.threads) == (device, "float32", 1)
    torch.set_num_threads(2)
    other = measure_peaks(device)
    assert other is not first and other.threads == 2
    for found in (first, other):
        figures = [getattr(found, f.name) for f in fields(found) if f.name.endswith(("gflops", "gb_s"))]
        assert len(figures) == 4 and all(math.isfinite(figure) and figure > 0 for figure in figures)
        assert found.gemm_gflops >= found.mm_gflops and found.gemm_by in ("torch.mm", "oneDNN")
        assert found.cached_copy_gb_s >= found.copy_gb_s


def test_measuring_again_never_lowers_a_peak(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = measure_peaks(device)
    slow = replace(before, gemm_gflops=before.gemm_gflops / 2, copy_gb_s=2 * before.copy_gb_s)
    monkeypatch.setattr(peaks, "_MEASURED", dict(peaks._MEASURED))
    monkeypatch.setattr(peaks, "_measure", lambda *key: slow)
    assert measure_peaks(device) is before
    assert measure_peaks(device, again=True) == replace(before, copy_gb_s=2 * before.copy_gb_s)
    assert measure_peaks(device).copy_gb_s == 2 * before.copy_gb_s


def test_peaks_are_of_this_planet(device: str) -> None:
    """Catches a wrong unit or operation count, which is off by 8, 1000 or more; bounds far beyond any machine."""
    found = measure_peaks(device)
    assert 0.2 < found.gemm_gflops < 1e6
    assert 0.2 < found.copy_gb_s < 1e5


def test_seconds_of_is_a_mean_over_calls(device: str) -> None:
    calls = []

    def work() -> None:
        calls.append(time.sleep(0.004))

    found = seconds_of(work, clock_of(torch.device(device)), calls=5)
    assert len(calls) == 5
    assert 0.004 <= found < 0.02


def test_quiet_restores_the_collector() -> None:
    seen = []

    def interrupted() -> None:
        with quiet():
            seen.append(gc.isenabled())
            raise KeyboardInterrupt

    assert gc.isenabled()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert gc.isenabled() and seen == [False]
    gc.disable()
    try:
        with quiet():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_without_another_library_torch_mm_is_the_roof(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    found = peaks._measure("cpu", torch.float32, torch.get_num_threads())
    assert found.gemm_by == "torch.mm" and found.gemm_gflops == found.mm_gflops
