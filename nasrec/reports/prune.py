"""The page of a pruning: log loss over multiply-accumulates, round by round, and the model before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nasrec.lowering.graphs import read_graph
from nasrec.reports import figures as curves
from nasrec.reports.page import MISSING, Page, figure
from nasrec.reports.train import add_model
from nasrec_ir import draw

__all__ = ["page"]

Report = Mapping[str, Any]


def page(run: Path, found: Report) -> Page:
    """Of the report in the run's folder."""
    lines, pruning = found["over_seeds"], found["pruning"]
    seeds = len({one["seed"] for one in found["rounds"]})
    stopped = "Interrupted: the same command on the folder goes on. " if found["interrupted"] else ""
    made = Page(
        f"{found['model']['name']} on {found['data']['source']}, pruned",
        f"{stopped}{pruning['rounds']} rounds, {pruning['share']:.0%} of what is left in each, by {pruning['method']}; "
        f"{seeds} seed{'' if seeds == 1 else 's'}",
    )
    if lines:
        first, last = lines[0], lines[-1]
        made.tiles(
            [
                ("MACs left", f"{last['macs_share']['mean']:.1%}", f"{last['macs']['mean']:,.0f} a sample"),
                ("parameters left", _share(last, first, "parameters"), f"{last['parameters']['mean']:,.0f}"),
                ("test log loss", figure(last["test_log_loss"]["mean"]), f"{_change(first, last)} by pruning"),
                ("test AUC", figure(last["test_auc"]["mean"]), f"{figure(first['test_auc']['mean'])} dense"),
            ]
        )
        picture = _draw(found["rounds"], lines)
        made.beside["report.png"] = picture
        made.png(picture, "log loss over multiply-accumulates", _PICTURE)
        made.heading("Rounds")
        _add_rounds(made, lines)
        _add_layers(made, found["rounds"])
        _add_drawings(made, run, found["rounds"])
    add_model(made, {**found, "config": found["config"]})
    made.facts({"Pruning": pruning})
    return made


def _share(last: Report, first: Report, name: str) -> str:
    return f"{last[name]['mean'] / max(1, first[name]['mean']):.1%}"


def _change(first: Report, last: Report) -> str:
    return f"{last['test_log_loss']['mean'] - first['test_log_loss']['mean']:+.5f}"


def _add_rounds(made: Page, lines: Sequence[Report]) -> None:
    rows = [
        [
            str(line["round"]),
            f"{line['macs_share']['mean']:.1%}\n{line['macs']['mean']:,.0f}",
            f"{line['parameters']['mean']:,.0f}",
            f"{line['embedding_parameters']['mean']:,.0f}",
            *(_spread(line[name]) for name in ("valid_log_loss", "valid_auc", "test_log_loss", "test_auc")),
        ]
        for line in lines
    ]
    header = ("round", "MACs", "parameters", "in tables", "valid log loss", "valid AUC", "test log loss", "test AUC")
    made.table(header, rows, caption="Means over the seeds, and their standard deviations; round 0 is the dense model.")


def _spread(found: Report) -> str:
    return f"{figure(found['mean'])}\n± {figure(found['std'])}" if found["std"] else figure(found["mean"])


def _add_layers(made: Page, rounds: Sequence[Report]) -> None:
    """Of the first seed: what became of each matrix, and of the features."""
    own = _first_seed(rounds)
    first, last = own[0], own[-1]
    rows = []
    for node, shape in first["matrices"].items():
        after = last["matrices"].get(node)
        left = MISSING if after is None else f"{after[0] * after[1] / max(1, shape[0] * shape[1]):.0%}"
        rows.append([node, _sizes(shape), MISSING if after is None else _sizes(after), left])
    made.heading("Layers")
    made.table(
        ("matrix", "dense", f"round {last['round']}", "entries left"),
        rows,
        caption=f"Rows and columns of each stored matrix, seed {first['seed']}.",
    )
    if last["left_out"]:
        made.words(f"Columns of the data that it does not read any more: {', '.join(last['left_out'])}.")


def _add_drawings(made: Page, run: Path, rounds: Sequence[Report]) -> None:
    own = _first_seed(rounds)
    made.heading("Before and after")
    for one, words in ((own[0], "The dense model."), (own[-1], f"After round {own[-1]['round']}.")):
        folder = run.joinpath(*Path(one["folder"]).parts[-2:])
        made.svg((draw.svg(read_graph(folder / "graph.ir")), f"{words} {one['macs']:,} multiply-accumulates a sample."))


def _first_seed(rounds: Sequence[Report]) -> list[Report]:
    return [one for one in rounds if one["seed"] == rounds[0]["seed"]]


def _sizes(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _draw(rounds: Sequence[Report], lines: Sequence[Report]) -> bytes:
    drawing = curves.figure_of(11, 4)
    for axes, part in zip(drawing.subplots(1, 2), ("valid", "test"), strict=True):
        axes.scatter(
            [100 * one["macs_share"] for one in rounds],
            [one["scores"][part]["log_loss"] for one in rounds],
            s=10, color=curves.COLOURS[1], label="seeds",
        )  # fmt: skip
        means = [line[f"{part}_log_loss"] for line in lines]
        axes.errorbar(
            [100 * line["macs_share"]["mean"] for line in lines], [mean["mean"] for mean in means],
            [mean["std"] for mean in means], color=curves.COLOURS[0], marker="o", ms=5, capsize=3, linewidth=1.2,
            label="mean and deviation",
        )  # fmt: skip
        dense = means[0]
        axes.axhspan(dense["mean"] - dense["std"], dense["mean"] + dense["std"], color=curves.COLOURS[2], alpha=0.12)
        axes.axhline(dense["mean"], color=curves.COLOURS[2], linewidth=0.8, linestyle="--", label="dense")
        axes.set(xlabel="multiply-accumulates, % of the dense model", ylabel="log loss", title=f"{part} rows")
        axes.invert_xaxis()
        axes.grid(alpha=0.25)
    drawing.axes[-1].legend(fontsize="small", frameon=False)
    return curves.png(drawing)


_PICTURE = (
    "Each round drops the lowest structures and trains what is left from the same initial values; rounds go from left "
    "to right. The dashed line is the dense model, its band one standard deviation over the seeds."
)
