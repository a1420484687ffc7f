"""A profile in words and figures, and where it was taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nasrec.reports import text as output

if TYPE_CHECKING:
    from nasrec.profiling import NodeProfile, Peaks, Profile

__all__ = ["text", "title", "where"]

BACKENDS = {"ours": "ours", "eager": "plain PyTorch", "compile": "torch.compile of ours"}

CROWDED, NOISY = 0.65, 0.2
"""Speed-up for each thread below which, and spread of the rounds above which, a reader is told."""


def title(name: str, profile: Profile) -> str:
    """What was run."""
    what = {
        "forward": "forward",
        "train": "training step",
        "supernet": f"supernet step, {profile.masking} masking",
    }[profile.what]
    return f"{name}: {what}, batch {profile.batch:,}"


def where(described: dict[str, Any]) -> str:
    """The machine in one line."""
    policy = described["omp_wait_policy"]
    parts = [
        described["gpu"] or described["cpu"],
        output.plural(described["threads"], "thread"),
        f"OMP_WAIT_POLICY {policy}" if policy else "no OMP_WAIT_POLICY",
        f"torch {described['packages']['torch']}",
        f"{described['kernels']} kernels" if described["kernels"] else "kernels missing: plain PyTorch",
    ]
    return ", ".join(parts)


def text(name: str, profile: Profile, described: dict[str, Any]) -> str:
    """Table of the nodes as the graph runs, what is left over, totals side by side."""
    peaks = profile.peaks
    lines = [
        f"{title(name, profile)} ({output.plural(profile.rounds, 'round')}, medians)",
        f"  on       {where(described)}",
        f"  peaks    {peaks.gemm_gflops:,.0f} GFLOP/s matrix products ({_by(peaks)}), {peaks.copy_gb_s:,.1f} GB/s "
        f"copies ({peaks.cached_copy_gb_s:,.1f} within the caches)",
        "",
        _nodes(profile),
        "",
        _totals(profile),
        "",
        f"At the peaks, products and bytes one after the other, the nodes would take {_us(profile.floor_s)} us: "
        f"{_ratio(profile.ours.seconds, profile.floor_s)} of that is spent.",
    ]
    return "\n".join([*lines, *_notes(profile)])


def _notes(profile: Profile) -> list[str]:
    """What a reader should know before trusting the figures."""
    peaks, (low, high) = profile.peaks, profile.ours.quartiles_s
    notes = [f"note: {BACKENDS[rival.name]} failed: {rival.failure}" for rival in profile.backends if rival.failure]
    if peaks.thread_speedup < CROWDED * peaks.threads and peaks.threads > 1 and peaks.device == "cpu":
        notes.append(
            f"note: {peaks.threads} threads multiply matrices {peaks.thread_speedup:.1f} times as fast as one; other "
            "programs take cores, or threads share one (GOMP_CPU_AFFINITY pins them)"
        )
    if high - low > NOISY * profile.ours.seconds:
        notes.append(
            f"note: the quartiles are {(high - low) / profile.ours.seconds:.0%} of the median apart; the machine was "
            "busy, and shares of single nodes are rough"
        )
    return notes


def _by(peaks: Peaks) -> str:
    return peaks.gemm_by if peaks.gemm_by == "torch.mm" else f"{peaks.gemm_by}; torch.mm {peaks.mm_gflops:,.0f}"


def _nodes(profile: Profile) -> str:
    trained = profile.what != "forward"
    times = ("forward us", "backward us") if trained else ("us",)
    header = ("node", "op", *times, "share", "MMACs", "MB", "GFLOP/s", "of peak", "GB/s", "of peak")
    rows = [_node_row(profile, node, trained) for node in profile.nodes]
    moved, macs = profile.work.moved_bytes, profile.work.macs
    sums = [sum(node.forward_s for node in profile.nodes), sum(node.backward_s or 0.0 for node in profile.nodes)]
    rows.append(["sum of nodes", "", *_spent(sums, trained), _share(profile, profile.nodes_s), *_amounts(macs, moved)])
    left_over: dict[str, float] = dict(profile.other_s.items())
    left_over |= {"unaccounted": profile.unaccounted_s, "total, untouched": profile.ours.seconds}
    for what, seconds in left_over.items():
        spent = [*([""] if trained else []), _us(seconds)]
        rows.append([what, "", *spent, _share(profile, seconds), *[""] * 6])
    total = rows[-1]
    total[-4:] = _rates(profile, _rate(2e-9 * macs, profile.ours.seconds), _rate(1e-9 * moved, profile.ours.seconds))
    return output.table(header, rows, left=2)


def _node_row(profile: Profile, node: NodeProfile, trained: bool) -> list[str]:
    work = node.total_work
    return [
        node.id,
        node.op,
        *_spent([node.forward_s, node.backward_s], trained),
        _share(profile, node.seconds),
        *_amounts(work.macs, work.moved_bytes)[:2],
        *_rates(profile, node.gflops, node.gb_s),
    ]


def _spent(times: Sequence[float | None], trained: bool) -> list[str]:
    return [_us(seconds) for seconds in times[: 2 if trained else 1]]


def _amounts(macs: int, moved: int) -> list[str]:
    return [f"{macs / 1e6:,.2f}" if macs else "-", f"{moved / 1e6:,.2f}" if moved else "-", "", "", "", ""]


def _rates(profile: Profile, gflops: float | None, gb_s: float | None) -> list[str]:
    peaks = profile.peaks
    cells = []
    for rate, peak in ((gflops, peaks.gemm_gflops), (gb_s, peaks.copy_gb_s)):
        cells += ["-", "-"] if rate is None else [f"{rate:,.1f}", f"{rate / peak:.0%}"]
    return cells


def _totals(profile: Profile) -> str:
    """The ways to run the whole, side by side."""
    shown = [profile.ours, *(rival for rival in profile.backends if rival.failure is None)]
    parts = list(profile.ours.parts) if profile.what != "forward" else []
    header = ("", "us", "quartiles", "against ours", *(f"{part} us" for part in parts))
    rows = [
        [
            BACKENDS[total.name] + (f" ({total.prepare_s:.0f} s to compile)" if total.prepare_s is not None else ""),
            _us(total.seconds),
            " - ".join(map(_us, total.quartiles_s)),
            _ratio(total.seconds, profile.ours.seconds),
            *(_us(total.parts[part]) for part in parts),
        ]
        for total in shown
    ]
    return output.table(header, rows)


def _share(profile: Profile, seconds: float) -> str:
    return f"{seconds / profile.ours.seconds:.1%}"


def _us(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{1e6 * seconds:,.1f}" if abs(seconds) < 1e-4 else f"{1e6 * seconds:,.0f}"


def _ratio(seconds: float, other_s: float) -> str:
    return f"{seconds / other_s:.2f}x" if other_s > 0 else "-"


def _rate(amount: float, seconds: float) -> float | None:
    return amount / seconds if amount and seconds > 0 else None
