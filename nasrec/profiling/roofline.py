"""The roofline picture (Williams, Waterman and Patterson 2009): what nodes attain below what the machine could do."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nasrec.errors import ProfileError
from nasrec.profiling.labels import Spot, label_spots
from nasrec.profiling.result import NodeProfile, Profile

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FORMATS", "roofline"]

FORMATS = ("svg", "png")

COLORS = {
    "linear": "#0072b2",
    "field_linear": "#e69f00",
    "channel_linear": "#56b4e9",
    "field_attention": "#d55e00",
    "self_attention": "#cc79a7",
    "pairwise_dot": "#009e73",
}
"""Okabe and Ito's, which people with any color vision tell apart; an op has the same in every picture."""

OTHER = "#999999"
"""Of any other op with matrix products."""

INK, MEMORY, CACHE, MOVER = "#22282d", "#3b444b", "#8b959d", "#7a858d"
DASHED = (0, (4, 3))
LARGEST_DOT, SMALLEST_DOT = 2200.0, 14.0
"""Areas in square points: of a node that takes all of the time, and the least that is seen."""

LEAST_LABELED = 0.01
"""Share of the time."""


def roofline(profile: Profile, form: str, *, title: str, machine: str) -> bytes:
    """Draws every node as a dot whose area is its share of the time, under the measured roofs.

    Nodes with matrix products stand over their intensity, forward and backward together; the others, which have
    none, over the bytes a second that they move, in the graph's order.

    Args:
        profile: what was measured.
        form: `"svg"` or `"png"`.
        title: what was run.
        machine: where, in one line.

    Returns:
        The content of a file.

    Raises:
        ProfileError: the form is another.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if form not in FORMATS:
        raise ProfileError(f"a roofline is drawn as {' or '.join(FORMATS)}, not {form!r}")
    with rc_context({"svg.hashsalt": "nasrec", "font.size": 9.5, "axes.edgecolor": MEMORY}):
        figure = Figure(figsize=(11.5, 6.4), dpi=110)
        FigureCanvasAgg(figure)
        _compose(figure, profile, title, machine)
        picture = io.BytesIO()
        figure.savefig(picture, format=form, metadata={"Date": None} if form == "svg" else {"Software": None})
    return picture.getvalue()


@dataclass(frozen=True)
class _Dot:
    node: NodeProfile
    x: float
    y: float
    share: float
    color: str

    @property
    def area(self) -> float:
        return max(SMALLEST_DOT, LARGEST_DOT * self.share)


def _compose(figure: Figure, profile: Profile, title: str, machine: str) -> None:
    figure.text(0.02, 0.955, title, fontsize=13, color=INK)
    figure.text(0.02, 0.922, f"{machine}; a dot's area is its share of the time", fontsize=8.5, color=MEMORY)
    movers, products = figure.subplots(
        1,
        2,
        width_ratios=(1, 3),
        gridspec_kw={"left": 0.06, "right": 0.985, "bottom": 0.095, "top": 0.86, "wspace": 0.17},
    )
    _products(products, profile)
    _movers(movers, profile)


def _products(axes: Axes, profile: Profile) -> None:
    peaks = profile.peaks
    colors = _colors(profile)
    dots = [
        _Dot(node, node.intensity, node.gflops, _share(profile, node), colors[node.op])
        for node in profile.nodes
        if node.intensity and node.gflops
    ]
    ridge = peaks.gemm_gflops / peaks.copy_gb_s
    low = min([dot.x for dot in dots] + [ridge / 10]) / 1.8
    high = max([dot.x for dot in dots] + [ridge * 3]) * 2.2
    bottom = min([dot.y for dot in dots] + [peaks.gemm_gflops / 100]) / 2
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(bottom, peaks.gemm_gflops * 2.2))
    axes.set(xlabel="FLOP per byte that must move", ylabel="GFLOP/s")
    _finish(axes, "With matrix products")
    for bandwidth, color, style, name in _roofs(profile):
        bend = peaks.gemm_gflops / bandwidth
        axes.plot([low, bend, high], [low * bandwidth, *2 * [peaks.gemm_gflops]], color=color, ls=style, zorder=1)
        start = max(low * 1.1, bottom * 1.35 / bandwidth)
        _along(
            axes, (start, start * bandwidth), (start * 2, start * 2 * bandwidth), f"{name} {bandwidth:.0f} GB/s", color
        )
    axes.annotate(f"matrix products {peaks.gemm_gflops:.0f} GFLOP/s", (high, peaks.gemm_gflops), xytext=(-6, 5),
                  textcoords="offset points", ha="right", color=MEMORY, fontsize=8.5)  # fmt: skip
    _scatter(axes, dots, most=10)
    whole = 2 * profile.work.macs
    if whole and profile.work.moved_bytes:
        axes.plot([whole / profile.work.moved_bytes], [1e-9 * whole / profile.ours.seconds], "D", color=INK, ms=7,
                  markeredgecolor="white", zorder=4, label="the whole")  # fmt: skip
    for op, color in colors.items():
        axes.scatter([], [], s=40, color=color, alpha=0.75, label=op)
    if dots:
        axes.legend(loc="lower right", frameon=False, fontsize=8.5, labelcolor=INK)


def _movers(axes: Axes, profile: Profile) -> None:
    dots = [
        _Dot(node, place, node.gb_s, _share(profile, node), MOVER)
        for place, node in enumerate(profile.nodes)
        if not node.total_work.macs and node.gb_s
    ]
    count = max(1, len(profile.nodes))
    rates = [dot.y for dot in dots] + [profile.peaks.copy_gb_s]
    top = max([*rates, profile.peaks.cached_copy_gb_s]) * 2.2
    axes.set(yscale="log", xlim=(-0.08 * count, 1.08 * count), xticks=[])
    axes.set(ylim=(min(rates) / 2, top), xlabel="in the graph's order", ylabel="GB/s")
    _finish(axes, "Without matrix products")
    for bandwidth, color, style, name in _roofs(profile):
        axes.axhline(bandwidth, color=color, ls=style, zorder=1)
        axes.annotate(name, (1, bandwidth), xycoords=("axes fraction", "data"), xytext=(-3, 3), ha="right",
                      textcoords="offset points", color=color, fontsize=8.5)  # fmt: skip
    _scatter(axes, dots, most=4)


def _roofs(profile: Profile) -> tuple[tuple[float, str, object, str], ...]:
    peaks = profile.peaks
    return (peaks.cached_copy_gb_s, CACHE, DASHED, "caches"), (peaks.copy_gb_s, MEMORY, "-", "memory")


def _scatter(axes: Axes, dots: Sequence[_Dot], most: int) -> None:
    ordered = sorted(dots, key=lambda dot: -dot.share)  # small ones on top
    axes.scatter([d.x for d in ordered], [d.y for d in ordered], s=[d.area for d in ordered],
                 c=[d.color for d in ordered], alpha=0.75, edgecolors="white", linewidths=0.8, zorder=3)  # fmt: skip
    points: Any = axes.transData.transform([(d.x, d.y) for d in ordered]) if ordered else []
    pixels = axes.get_figure(root=True).dpi / 72  # type: ignore[union-attr]
    spots = [
        Spot(x, y, math.sqrt(dot.area / math.pi) * pixels, f"{dot.node.id} {dot.share:.0%}")
        for dot, (x, y) in zip(ordered, points, strict=True)
    ]
    labeled = sum(dot.share >= LEAST_LABELED for dot in ordered[:most])
    label_spots(axes, spots, labeled, INK)


def _along(axes: Axes, first: tuple[float, float], second: tuple[float, float], text: str, color: str) -> None:
    (x0, y0), (x1, y1) = axes.transData.transform([first, second])
    angle = math.degrees(math.atan2(y1 - y0, x1 - x0))
    axes.annotate(text, first, xytext=(0, 4), textcoords="offset points", rotation=angle, rotation_mode="anchor",
                  color=color, fontsize=8.5)  # fmt: skip


def _finish(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    axes.grid(which="major", alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=MEMORY, which="both")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    if axes.get_xscale() == "log":
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _colors(profile: Profile) -> dict[str, str]:
    """Of each op with products in the graph, those of more time first."""
    spent: dict[str, float] = {}
    for node in profile.nodes:
        if node.intensity:
            spent[node.op] = spent.get(node.op, 0.0) + node.seconds
    return {op: COLORS.get(op, OTHER) for op in sorted(spent, key=lambda op: -spent[op])}


def _share(profile: Profile, node: NodeProfile) -> float:
    return node.seconds / max(profile.ours.seconds, profile.nodes_s)
