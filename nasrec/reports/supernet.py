"""The page of a supernet's training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nasrec.reports import figures as curves
from nasrec.reports.page import Page, figure, seconds

__all__ = ["page"]


def page(run: Path, found: Mapping[str, Any]) -> Page:
    """Of the report in the run's folder."""
    supernet = found["supernet"]
    space, blocks = supernet["space"], supernet["space"]["num_blocks"]
    stopped = "Interrupted: the same command on the folder goes on." if found["interrupted"] else ""
    made = Page(f"Supernet of {blocks} block{'' if blocks == 1 else 's'} on {found['data']['source']}", stopped)
    tiles = [("training", seconds(found["train_s"]), f"{found['rows']:,} rows, {found['rows_per_s']:,.0f} a second")]
    tiles.append(("steps", f"{found['steps']:,}", f"{found['config']['batch_size']:,} rows each, a path each"))
    tiles.append(("parameters", f"{supernet['parameters']:,}", "shared weights and embedding tables"))
    if found["evaluations"]:
        look = found["evaluations"][-1]["metrics"]
        tiles.insert(0, ("valid log loss", figure(look["log_loss"]), "mean of five fixed paths"))
        tiles.insert(1, ("valid AUC", figure(look["auc"]), "mean of five fixed paths"))
    made.tiles(tiles)
    if found["history"]:
        made.png(_draw(found), "log loss and AUC over the rows", _CAPTION)
    made.facts(
        {
            "Space": space,
            "Paths": {**found["sampling"], "masking": supernet.get("masking")},
            "Settings": found["config"],
            "Run": {name: found[name] for name in ("device", "processes", "stopped_early", "interrupted")},
            "Data": found["data"],
            "Environment": found["environment"],
        }
    )
    return made


def _draw(found: Mapping[str, Any]) -> bytes:
    points, looks, seen = found["history"], found["evaluations"], curves.rows_seen(found)
    drawing = curves.figure_of(11, 4)
    loss, auc = drawing.subplots(1, 2)
    mark = "." if len(points) < 10 else None
    loss.plot(
        [p["rows"] for p in points], [p["loss"] for p in points], color=curves.COLOURS[1], linewidth=1.0, marker=mark,
        label="training, running mean",
    )  # fmt: skip
    if looks:
        loss.plot(
            seen, [look["metrics"]["log_loss"] for look in looks], color=curves.COLOURS[0], marker="o", ms=4,
            label="validation, mean of five paths",
        )  # fmt: skip
        areas = [look["metrics"]["auc"] for look in looks]
        if None not in areas:
            auc.plot(seen, areas, color=curves.COLOURS[0], marker="o", ms=4)
    loss.set(title="log loss")
    auc.set(title="AUC on validation rows")
    loss.legend(fontsize="small", frameon=False)
    for axes in (loss, auc):
        curves.thousands(axes)
    return curves.png(drawing)


_CAPTION = (
    "A supernet is as good as the ranking that it gives: 'nasrec rank' measures that. Its own losses only show that it "
    "learns; they are of a few fixed paths, none of which was trained by itself."
)
