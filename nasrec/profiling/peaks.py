"""What this machine does at best, measured: matrix products, copies through memory, copies within the caches."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch

from nasrec.profiling.clock import Clock, clock_of, quiet, seconds_of

__all__ = ["Peaks", "measure_peaks"]


@dataclass(frozen=True)
class Peaks:
    """The roofs that kernels are held against.

    Attributes:
        device: `"cpu"`, `"cuda"` or `"cuda:0"`.
        dtype: element type of the matrix product, such as `"float32"`.
        threads: torch's threads while measuring.
        gemm_gflops: 10^9 floating-point operations a second of a large square matrix product, a multiply-accumulate
            counted as two, by the fastest library that torch carries: `gemm_by`. (MKL leaves half of a processor that
            is not Intel's unused where oneDNN does not.)
        copy_gb_s: 10^9 bytes a second, read plus written, of a copy that no cache holds.
        cached_copy_gb_s: the same of a copy that fits into the caches. What a small batch's node reads was written a
            moment ago, so nodes may exceed `copy_gb_s`; this is their roof.
        thread_speedup: how many times as fast all threads multiply matrices as one of them does; 1 with one thread
            and on a GPU. Far below `threads`, something else took the cores, or two threads were put on one.
        gemm_by: `"torch.mm"` or `"oneDNN"`.
        mm_gflops: the same product by torch.mm, which plain PyTorch models run.
    """

    device: str
    dtype: str
    threads: int
    gemm_gflops: float
    copy_gb_s: float
    cached_copy_gb_s: float
    thread_speedup: float = 1.0
    gemm_by: str = "torch.mm"
    mm_gflops: float = 0.0

    def least_seconds(self, macs: float, moved_bytes: float) -> float:
        """Floor of some work: its products at the peak, then its bytes at the memory's peak, nothing overlapped."""
        return 2e-9 * macs / self.gemm_gflops + 1e-9 * moved_bytes / self.copy_gb_s


@dataclass(frozen=True)
class _Sizes:
    """Enough work to reach the peak, little enough to take no time: about 0.3 s on two cores, less on a GPU."""

    gemm: int
    copy_bytes: int
    cached_copy_bytes: int


_SIZES = {"cpu": _Sizes(1024, 64 << 20, 4 << 20), "cuda": _Sizes(4096, 512 << 20, 8 << 20)}
_SLICE_S = 0.04
_ROUNDS = 5


_MEASURED: dict[tuple[str, torch.dtype, int], Peaks] = {}


def measure_peaks(
    device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32, *, again: bool = False
) -> Peaks:
    """The device's peaks with torch's present number of threads; measured once in a process, then remembered.

    A peak is the best of several rounds, not their median: other programs can only lower what is seen.

    Args:
        device: where to measure.
        dtype: floating type of the matrix product; on a GPU float32 follows torch's setting for TF32.
        again: measure once more, and remember the better of both for each peak.
    """
    key = (str(torch.device(device)), dtype, torch.get_num_threads())
    known = _MEASURED.get(key)
    if known is None or again:
        found = _measure(*key)
        names = ("gemm_gflops", "copy_gb_s", "cached_copy_gb_s", "thread_speedup", "mm_gflops")
        best = {name: max(getattr(found, name), getattr(known, name, 0.0)) for name in names}
        faster = known if known is not None and known.gemm_gflops > found.gemm_gflops else found
        _MEASURED[key] = replace(faster, **best)
    return _MEASURED[key]


def _measure(device_name: str, dtype: torch.dtype, threads: int) -> Peaks:
    device = torch.device(device_name)
    sizes, clock = _SIZES[device.type], clock_of(device)
    with quiet(), torch.inference_mode():
        products = _products(sizes.gemm, device, dtype)
        alone = _one_thread(products, clock) if device.type == "cpu" else {}
        together = {name: _best(product, clock) for name, product in products.items()}
        copy_s = _copy(sizes.copy_bytes, device, clock)
        cached_s = _copy(sizes.cached_copy_bytes, device, clock)
    fastest = min(together, key=lambda name: together[name])
    memory = 2e-9 * sizes.copy_bytes / copy_s
    return Peaks(
        device=device_name,
        dtype=str(dtype).removeprefix("torch."),
        threads=threads,
        gemm_gflops=2e-9 * sizes.gemm**3 / together[fastest],
        copy_gb_s=memory,
        # Where there is hardly a cache to speak of, the roof is the memory's.
        cached_copy_gb_s=max(memory, 2e-9 * sizes.cached_copy_bytes / cached_s),
        thread_speedup=alone[fastest] / together[fastest] if alone and threads > 1 else 1.0,
        gemm_by=fastest,
        mm_gflops=2e-9 * sizes.gemm**3 / together["torch.mm"],
    )


def _products(size: int, device: torch.device, dtype: torch.dtype) -> dict[str, Callable[[], object]]:
    """The same square product by each library that torch can reach here."""
    a = torch.ones(size, size, device=device, dtype=dtype)
    b, c = torch.ones_like(a), torch.empty_like(a)
    products: dict[str, Callable[[], object]] = {"torch.mm": lambda: torch.mm(a, b, out=c)}
    if device.type == "cpu" and torch.backends.mkldnn.is_available():
        try:  # what inductor calls: there is no other way to ask for oneDNN in float32
            packed = torch.ops.mkldnn._reorder_linear_weight(b, size)
            linear = functools.partial(torch.ops.mkldnn._linear_pointwise, a, packed, None, "none", [], "")
            linear()
        except (RuntimeError, AttributeError, NotImplementedError, TypeError):  # not in this build, not of this type
            return products
        products["oneDNN"] = linear
    return products


def _one_thread(products: Mapping[str, Callable[[], object]], clock: Clock) -> dict[str, float]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return {name: _best(product, clock) for name, product in products.items()}
    finally:
        torch.set_num_threads(before)


def _copy(size_bytes: int, device: torch.device, clock: Clock) -> float:
    source = torch.ones(size_bytes // 4, device=device)
    target = torch.zeros_like(source)  # written to, so that its pages are there before the first timed copy
    return _best(lambda: target.copy_(source), clock)


def _best(work: Callable[[], object], clock: Clock) -> float:
    """Seconds of one call, the fastest of some rounds that take about `_SLICE_S` together."""
    once = min(seconds_of(work, clock) for _ in range(3))
    calls = max(1, int(_SLICE_S / _ROUNDS / max(once, 1e-7)))
    return min(seconds_of(work, clock, calls) for _ in range(_ROUNDS))
