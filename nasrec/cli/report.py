"""The final report of training as a picture and as a page: curves, learning rate, calibration, scores."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec import jsonfile
from nasrec.cli import curves
from nasrec.errors import TrainError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["write"]

Report = Mapping[str, Any]

SCORES = {
    "log_loss": ("log loss", "{:.5f}"),
    "auc": ("AUC", "{:.5f}"),
    "normalised_entropy": ("normalised entropy", "{:.4f}"),
    "calibration": ("calibration", "{:.4f}"),
    "click_rate": ("click rate", "{:.4f}"),
    "rows": ("rows", "{:,}"),
}


def write(reports: Sequence[Report], target: Path, title: str, tables: Sequence[str] = ()) -> None:
    """Writes report.png and report.html, which holds the picture and needs no other file.

    Args:
        reports: of finished and scored runs that differ in their seed alone.
        target: the folder.
        title: of both.
        tables: more tables in plain text for the page.

    Raises:
        TrainError: one of them cannot be written.
    """
    picture = target / "report.png"
    draw(reports, picture, title)
    jsonfile.write_text(target / "report.html", _page(reports, picture.read_bytes(), title, tables), TrainError)


def draw(reports: Sequence[Report], path: Path, title: str) -> None:
    """The picture alone."""
    figure = curves.figure_of(11, 8)
    (loss, auc), (rate, reliability) = figure.subplots(2, 2)
    test = reports[0]["scores"]["test"]
    floor = test["log_loss"] / test["normalised_entropy"] if test["normalised_entropy"] else None
    _losses(loss, reports, floor)
    for axes, heading in ((auc, "AUC on validation rows"), (rate, "learning rate")):
        axes.set(title=heading)
        curves.thousands(axes)
        axes.sharex(loss)
    for report, colour in _coloured(reports):
        areas = [look["metrics"]["auc"] for look in report["evaluations"]]
        if None not in areas:
            seed = f"seed {report['config']['seed']}"
            auc.plot(curves.rows_seen(report), areas, color=colour, marker="o", ms=4, label=seed)
        points = report["history"]
        seen, rates = [p["rows"] for p in points], [p["lr"] for p in points]
        rate.plot(seen, rates, color=colour, linewidth=1.2, marker=_mark(points))
    if 1 < len(reports) <= len(curves.COLOURS):
        auc.legend(fontsize="small", frameon=False)
    rate.set(ylim=(0, None))
    _reliability(reliability, reports)
    figure.suptitle(title, fontsize="medium")
    curves.save(figure, path)


def _losses(axes: Axes, reports: Sequence[Report], floor: float | None) -> None:
    for report, colour in _coloured(reports):
        points, looks = report["history"], report["evaluations"]
        seen, losses = curves.rows_seen(report), [look["metrics"]["log_loss"] for look in looks]
        best = [look["step"] for look in looks].index(report["best_valid"]["step"])
        first = report is reports[0]
        axes.plot(
            [p["rows"] for p in points], [p["loss"] for p in points], color=colour, alpha=0.45, linewidth=1.0,
            marker=_mark(points), label="training, running mean" if first else None,
        )  # fmt: skip
        axes.plot(seen, losses, color=colour, marker="o", ms=4, label="validation" if first else None)
        axes.plot(
            seen[best], losses[best], color=colour, marker="o", ms=10, mfc="none", linestyle="none",
            label="weights that are kept" if first else None,
        )  # fmt: skip
    if floor is not None:
        teacher = reports[0]["scores"].get("teacher_on_test")
        curves.entropy_line(axes, floor, teacher)
        curves.zoom(axes, reports, floor, teacher)
    axes.set(title="log loss")
    curves.thousands(axes)
    axes.legend(fontsize="small", frameon=False)


def _reliability(axes: Axes, reports: Sequence[Report]) -> None:
    """Click rate against prediction in bins of equal size, with 95 per cent intervals, over the diagonal."""
    for report, colour in _coloured(reports):
        bins = report["reliability"]["bins"]
        x, y = [part["predicted"] for part in bins], [part["click_rate"] for part in bins]
        below = [part["click_rate"] - part["click_rate_low"] for part in bins]
        above = [part["click_rate_high"] - part["click_rate"] for part in bins]
        axes.errorbar(
            x, y, yerr=[[max(0.0, gap) for gap in gaps] for gaps in (below, above)], color=colour, marker="o", ms=4,
            linewidth=1.0, elinewidth=0.8, capsize=2,
        )  # fmt: skip
    error = sum(report["reliability"]["expected_error"] for report in reports) / len(reports)
    most = 1.05 * max(part[key] for r in reports for part in r["reliability"]["bins"] for key in _EXTENT)
    axes.plot([0, most], [0, most], color="black", linewidth=0.8, linestyle=":")
    axes.set(
        title=f"calibration on test rows (expected error {error:.4f})",
        xlabel="mean prediction of a bin",
        ylabel="click rate",
        xlim=(0, most),
        ylim=(0, most),
    )
    axes.grid(alpha=0.25)


_EXTENT = ("predicted", "click_rate_high")


def _mark(points: Sequence[Any]) -> str | None:
    """A line of few points, or of one, is seen by these."""
    return "." if len(points) < 10 else None


def _coloured(reports: Sequence[Report]) -> list[tuple[Report, str]]:
    return [(report, curves.COLOURS[i % len(curves.COLOURS)]) for i, report in enumerate(reports)]


def _page(reports: Sequence[Report], picture: bytes, title: str, tables: Sequence[str]) -> str:
    data = base64.b64encode(picture).decode()
    first = reports[0]
    settings = {name: value for name, value in first["config"].items() if name != "seed"}
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        f'<img alt="curves and calibration" src="data:image/png;base64,{data}">',
        "<h2>Scores</h2>",
        _table(("seed", "rows of", *(words for words, _ in SCORES.values())), _score_rows(reports)),
        *(f"<pre>{html.escape(table)}</pre>" for table in tables),
        "<h2>Data</h2>",
        _table(("", ""), [[key, str(value)] for key, value in _flat(first["data"])]),
        "<h2>Model</h2>",
        _table(
            ("", ""), [[key, str(value)] for key, value in _flat(first["model"]) if key != "features.cardinalities"]
        ),
        "<h2>Settings</h2>",
        _table(("", ""), [[key, str(value)] for key, value in settings.items()]),
        "<h2>Environment</h2>",
        _table(("", ""), [[key, str(value)] for key, value in _flat(first["environment"])]),
    ]
    return _PAGE.format(title=html.escape(title), body="\n".join(parts))


def _score_rows(reports: Sequence[Report]) -> list[list[str]]:
    return [
        [str(report["config"]["seed"]), part.replace("_", " "), *(_figure(found, name) for name in SCORES)]
        for report in reports
        for part, found in report["scores"].items()
    ]


def _figure(found: Mapping[str, Any], name: str) -> str:
    return SCORES[name][1].format(found[name]) if found[name] is not None else ""


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    head = line(header, "th") if any(header) else ""
    return "<table>" + head + "".join(line(row, "td") for row in rows) + "</table>"


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for key, value in values.items():
        pairs += _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [(prefix + key, value)]
    return pairs


_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; max-width: 75em; margin: 2em auto; padding: 0 1em; color: #222 }}
h1 {{ font-size: 1.3em }} h2 {{ font-size: 1.05em; margin-top: 1.6em }}
img {{ max-width: 100% }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums }}
th, td {{ text-align: left; padding: 0.15em 1.2em 0.15em 0; border-bottom: 1px solid #ddd }}
</style></head><body>
{body}
</body></html>
"""
