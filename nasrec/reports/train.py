"""The page of a training: curves, learning rate, calibration, scores of one seed or of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec.errors import TrainError
from nasrec.genotype import Genotype
from nasrec.io.json import read_json
from nasrec.reports import figures as curves
from nasrec.reports.page import MISSING, Page, figure, seconds
from nasrec.runs import seeds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["SCORES", "add_model", "add_scores", "draw", "page", "runs_of", "title_of"]

Report = Mapping[str, Any]

SCORES = {
    "log_loss": ("log loss", "{:.5f}"),
    "auc": ("AUC", "{:.5f}"),
    "normalised_entropy": ("normalised entropy", "{:.4f}"),
    "calibration": ("calibration", "{:.4f}"),
    "click_rate": ("click rate", "{:.4f}"),
    "rows": ("rows", "{:,}"),
}


def page(run: Path, found: Report) -> Page:
    """Of a run, or of several seeds and a choice of the learning rate before them, as the folder has them."""
    reports = runs_of(run, found)
    title = title_of(found, reports)
    made = Page(title, _state(found, reports))
    if reports:
        _tiles(made, reports)
        picture = draw(reports, title)
        if "scores" in found:
            made.beside["report.png"] = picture
        scored = all("reliability" in report for report in reports)
        made.png(picture, "log loss, AUC and learning rate over the rows", _CURVES + (_CALIBRATION if scored else ""))
        if "scores" in found:
            made.heading("Scores")
            add_scores(made, reports)
    if "trials" in found:
        made.heading("Choice of the learning rate")
        _add_trials(made, found["trials"])
    place = _folder(run, found["runs"][0]["folder"]) if found.get("runs") else run
    if (place / "genotype.json").exists():
        from nasrec.draw import draw_architecture

        genotype = Genotype.load(place / "genotype.json")
        named = genotype if genotype.name else replace(genotype, name=found["model"]["name"])
        made.heading("Architecture")
        made.svg((draw_architecture(named), _ARCHITECTURE))
    add_model(made, found)
    return made


def runs_of(place: Path, found: Report) -> list[Report]:
    """The reports of the runs that a common report names, or that report itself where it is of one run."""
    if "history" in found:
        return [found]
    return [read_json(_folder(place, run["folder"]) / "report.json", TrainError) for run in found.get("runs", [])]


def title_of(found: Report, reports: Sequence[Report]) -> str:
    """Model, data, optimiser, seeds."""
    name = f"{found['model']['name']} on {found['data']['source']}"
    if not reports:
        return name
    config, many = reports[0]["config"], f", {len(reports)} seeds" if len(reports) > 1 else ""
    rate = f", learning rate {config['lr']:g}" if config.get("lr") is not None else ""
    return f"{name}: {config['optimizer']}{rate}{many}"


def add_scores(made: Page, reports: Sequence[Report]) -> None:
    """A row for each seed and part of the rows; mean and deviation below where there are several seeds."""
    rows = [
        [str(report["config"]["seed"]), part.replace("_", " "), *(_score(found, name) for name in SCORES)]
        for report in reports
        for part, found in report["scores"].items()
    ]
    totals = []
    if len(reports) > 1:
        for part, values in seeds.statistics_of(reports).items():
            for what in ("mean", "std"):
                shown = [figure(values[name][what], SCORES[name][1]) for name in values]
                totals.append([what, part, *shown, *[""] * (len(SCORES) - len(shown))])
    made.table(("seed", "rows of", *(words for words, _ in SCORES.values())), rows, totals=totals)


def add_model(made: Page, found: Report) -> None:
    """Data, model, settings and environment of a report that has them."""
    model = dict(found.get("model", {}))
    features = dict(model.pop("features", {}))
    tables = features.pop("cardinalities", [])
    if tables:
        features |= {"num_sparse": len(tables), "table_rows": sum(tables)}
    how = ("steps", "rows", "train_s", "rows_per_s", "stopped_early", "interrupted", "device", "processes")
    settings = {name: value for name, value in found.get("config", {}).items() if name != "seed" or "steps" in found}
    made.facts(
        {
            "Model": {**model, **features},
            "Settings": settings,
            "Run": {name: found[name] for name in how if name in found},
            "Data": found.get("data", {}),
            "Environment": found.get("environment", {}),
        }
    )


def _tiles(made: Page, reports: Sequence[Report]) -> None:
    tiles = []
    for part, name in (("test", "log_loss"), ("test", "auc"), ("valid", "log_loss"), ("valid", "auc")):
        scored = [report["scores"][part][name] for report in reports if part in report.get("scores", {})]
        if len(scored) == len(reports) and None not in scored:
            found = seeds.statistics_of(reports)[part][name]
            spread = f"± {found['std']:.5f} over {len(reports)} seeds" if len(reports) > 1 else ""
            tiles.append((f"{part} {SCORES[name][0]}", figure(found["mean"]), spread))
    seen, worked = (sum(report[key] for report in reports) for key in ("rows", "train_s"))
    tiles.append(("training", seconds(worked), f"{seen:,} rows, {seen / max(1e-9, worked):,.0f} a second"))
    model = reports[0]["model"]
    if model.get("macs") is not None:
        blocks = f"{len(model['live_blocks'])} of {model['blocks']} blocks live" if model.get("blocks") else ""
        tiles.append(("MACs a sample", f"{model['macs']:,}", blocks))
    made.tiles(tiles)


def _state(found: Report, reports: Sequence[Report]) -> str:
    if found.get("interrupted"):
        return "Interrupted: the same command on the folder goes on."
    rows = found["data"]["rows"]
    parts = ", ".join(f"{count:,} to {words}" for part, words in _PARTS if (count := rows.get(part)) is not None)
    return f"Rows: {parts}. The weights that validate best are kept; test rows are scored once, with those."


def _add_trials(made: Page, trials: Sequence[Report]) -> None:
    means = [trial["valid_log_loss"]["mean"] for trial in trials]
    rows = [
        [
            f"{trial['lr']:g}",
            figure(trial["valid_log_loss"]["mean"]),
            figure(trial["valid_log_loss"]["std"]),
            " ".join(figure(loss) for loss in trial["valid_log_loss"]["of_seeds"]),
            seconds(trial["train_s"]),
        ]
        for trial in trials
    ]
    made.table(
        ("learning rate", "valid log loss, mean", "std", "of each seed", "time"), rows,
        caption="The lowest mean is taken; test rows have no say.", marked=[means.index(min(means))] if means else [],
    )  # fmt: skip


def _folder(place: Path, name: str) -> Path:
    """A run's own folder below that of the common report: seeds lie in it, trials of a tuning one level deeper."""
    return place / name if (place / name).is_dir() else place / "trials" / name


_PARTS = (("train", "train"), ("valid", "validate"), ("test", "test"))
_CURVES = "Dots are looks at the validation rows."
_CALIBRATION = (
    " Calibration: test rows in bins of equal size by prediction, with 95 per cent intervals; on the diagonal "
    "predictions and clicks agree."
)
_ARCHITECTURE = (
    "Read from below. Bold: what reaches the logit. Faint: what no live operator reads; the compiler leaves it out."
)


def draw(reports: Sequence[Report], title: str) -> bytes:
    """Curves of runs that differ in their seed alone, with calibration where test rows were scored, as PNG."""
    scored = all("reliability" in report for report in reports)
    figure = curves.figure_of(11, 8) if scored else curves.figure_of(13, 4)
    loss, auc, rate, *others = (figure.subplots(2, 2) if scored else figure.subplots(1, 3)).ravel()
    _losses(loss, reports, _floor(reports[0]))
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
    if scored:
        _reliability(others[0], reports)
    figure.suptitle(title, fontsize="medium")
    return curves.png(figure)


def _floor(report: Report) -> float | None:
    """Log loss of always predicting the click rate, where rows were scored."""
    scores = report.get("scores", {})
    found = scores.get("test") or scores.get("valid")
    return found["log_loss"] / found["normalised_entropy"] if found and found["normalised_entropy"] else None


def _losses(axes: Axes, reports: Sequence[Report], floor: float | None) -> None:
    for report, colour in _coloured(reports):
        points, looks = report["history"], report["evaluations"]
        seen, losses = curves.rows_seen(report), [look["metrics"]["log_loss"] for look in looks]
        first = report is reports[0]
        axes.plot(
            [p["rows"] for p in points], [p["loss"] for p in points], color=colour, alpha=0.45, linewidth=1.0,
            marker=_mark(points), label="training, running mean" if first else None,
        )  # fmt: skip
        axes.plot(seen, losses, color=colour, marker="o", ms=4, label="validation" if first else None)
        if report["best_valid"] is None:  # interrupted before the first look
            continue
        best = [look["step"] for look in looks].index(report["best_valid"]["step"])
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


def _score(found: Mapping[str, Any], name: str) -> str:
    return SCORES[name][1].format(found[name]) if found[name] is not None else MISSING
