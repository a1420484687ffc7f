"""Models on Frappe_x1 trained as the BARS leaderboard trains them, beside its figures; NASRec genotypes likewise.

    python -m benchmarks.frappe [--data DIR] [--seeds 3] [--models deepfm dlrm ...] [--runs runs/frappe] [--json FILE]

Each run is one `nasrec.runs.train` in a folder of its own, RUNS/MODEL/seed-N: called again, the benchmark goes on with
what was interrupted and trains nothing twice. DIR (default: NASREC_DATA) is a prepared folder, or one that holds the
three files of Frappe_x1, which are prepared first.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import finish, machine
from nasrec import runs
from nasrec.baselines import BASELINES, options_of
from nasrec.data import Options, is_prepared, prepare
from nasrec.errors import TrainError
from nasrec.io.atomic import write_text
from nasrec.io.json import json_text
from nasrec.reports import text as output


@dataclass(frozen=True)
class Setting:
    """How one model is built and trained.

    Attributes:
        model: a baseline, or a preset.
        embedding_decay: L2 penalty on the tables. The leaderboard adds lambda/2 times the sum of all squared entries to
            the loss, whose gradient is that of `embedding_decay` lambda.
        options: of the model and of `nasrec.runs.TrainOptions`, where they differ from `COMMON`.
        published: test AUC and log loss on the leaderboard.
        five_runs: mean test AUC of the five runs that the leaderboard's page of the model lists, where it lists five;
            the leaderboard itself shows the first of them.
    """

    model: str
    embedding_decay: float
    options: Mapping[str, Any] = field(default_factory=dict)
    published: tuple[float, float] | None = None
    five_runs: float | None = None

    def train_options(self, seed: int) -> runs.TrainOptions:
        """How it is trained."""
        given = {**COMMON, "embedding_decay": self.embedding_decay, **self.options, "seed": seed}
        names = options_of(self.model) if self.model in BASELINES else ()
        own = {name: value for name, value in given.items() if name in names}
        rest = {name: value for name, value in given.items() if name not in names}
        return runs.TrainOptions(**rest, model_options=own)


COMMON: dict[str, Any] = {
    "epochs": 100,
    "batch_size": 4096,
    "optimizer": "adam",
    "lr": 0.001,
    "schedule": "plateau",  # a tenth of the rate after each epoch without a better validation AUC
    "warmup": 0,
    "clip_norm": 10,
    "monitor": "auc",
    "patience": 2,
    "embedding_dim": 10,
    "embedding_std": 1e-4,
}
"""What all models of the leaderboard share."""

PERCEPTRON: dict[str, Any] = {"hidden": (400, 400, 400), "batch_norm": True}
ATTENTION: dict[str, Any] = {
    "layers": 5,
    "heads": 4,
    "head_width": 32,
    "layer_norm": True,
    "project_residual": False,
    "attention_dropout": 0.1,
}
CROSS: dict[str, Any] = {"layers": 4, "structure": "parallel"}

LEADERBOARD = (
    Setting("dlrm", 0.1, {**PERCEPTRON, "dropout": 0.4, "interaction": "cat"}, (0.9840, 0.1444)),
    Setting("deepfm", 0.05, {**PERCEPTRON, "dropout": 0.2}, (0.9842, 0.1482), 0.98395),
    Setting("autoint_plus", 0.1, {**PERCEPTRON, **ATTENTION, "dropout": 0.1}, (0.9848, 0.1490)),
    Setting("dcn_v2", 0.05, {**PERCEPTRON, **CROSS, "dropout": 0.4}, (0.9845, 0.1491), 0.98382),
    Setting("xdeepfm", 0.1, {**PERCEPTRON, "dropout": 0.2, "cin": (64,)}, (0.9845, 0.1466), 0.98414),
)  # fmt: skip
"""As the leaderboard's logs for Frappe_x1 say (github.com/reczoo/BARS, ranking/ctr/MODEL/MODEL_frappe_x1). Models built
so have as many parameters as those logs count. Its DLRM reads the embeddings side by side, without dot products."""

GENOTYPES = tuple(Setting(name, 0.1, {"embedding_dim": 16}) for name in ("kdd-full", "criteo-full"))
"""Published genotypes, which were searched for on other data, with 16 channels, as they were published."""

SETTINGS = {setting.model: setting for setting in (*LEADERBOARD, *GENOTYPES)}


def main() -> None:
    """Trains what is not there yet and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", default=os.environ.get("NASREC_DATA"), help="prepared, or the folder of the raw files (NASREC_DATA)"
    )
    parser.add_argument("--seeds", type=int, default=3, help="runs of each model, seeds from 0 (3)")
    parser.add_argument("--models", nargs="+", default=list(SETTINGS), choices=list(SETTINGS), metavar="MODEL")
    parser.add_argument("--runs", type=Path, default=Path("runs/frappe"), help="folder of the runs (runs/frappe)")
    parser.add_argument("--json", type=Path, help="write the result to this file as well")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of torch")
    parser.add_argument("--show", action="store_true", help="train nothing, show what is there")
    options = parser.parse_args()
    if options.data is None and not options.show:
        parser.error("name the rows: --data, or NASREC_DATA")
    torch.set_num_threads(options.threads)
    if not options.show:
        data = prepared(options.data, options.runs / "data")
        for seed in range(options.seeds):
            for model in options.models:
                finish(train(SETTINGS[model], data, seed, options.runs))
    found = {model: finished(options.runs / model, options.seeds) for model in options.models}
    rows = [row(SETTINGS[model], runs) for model, runs in found.items() if runs]
    print(text(rows))
    if options.json is not None:
        result = {"name": "frappe", "machine": machine(), "settings": COMMON, "rows": rows}
        write_text(options.json, json_text(result) + "\n", TrainError)


def prepared(data: str, folder: Path) -> str:
    """What to give to `nasrec.runs`: raw files are prepared in the folder, all ids kept."""
    if is_prepared(data) or not Path(data).is_dir():
        return data
    prepare([data], folder, dataset="frappe", options=Options(max_table_rows=None))
    return os.fspath(folder)


def train(setting: Setting, data: str, seed: int, folder: Path) -> runs.TrainRun:
    """One run, whose report stays in its folder; one that is finished is not trained again."""
    return runs.train(setting.model, data, folder / setting.model / f"seed-{seed}", setting.train_options(seed))


def finished(folder: Path, seeds: int) -> list[dict[str, Any]]:
    """Reports of the runs that have been scored."""
    paths = [folder / f"seed-{seed}" / "report.json" for seed in range(seeds)]
    reports = [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.exists()]
    return [report for report in reports if "test" in report.get("scores", {})]


def row(setting: Setting, reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over the runs of one model; deviations are those of a sample."""
    scores = {name: [report["scores"]["test"][name] for report in reports] for name in ("auc", "log_loss")}
    auc = statistics.fmean(scores["auc"])
    published = setting.published or (None, None)
    return {
        "model": setting.model,
        "seeds": len(reports),
        "published_auc": published[0],
        "published_mean_of_five_auc": setting.five_runs,
        "auc": auc,
        "auc_std": statistics.stdev(scores["auc"]) if len(reports) > 1 else None,
        "difference": None if published[0] is None else auc - published[0],
        "published_log_loss": published[1],
        "log_loss": statistics.fmean(scores["log_loss"]),
        "valid_auc": statistics.fmean(report["scores"]["valid"]["auc"] for report in reports),
        "epochs": statistics.fmean(len(report["evaluations"]) for report in reports),
        "train_s": statistics.fmean(report["train_s"] for report in reports),
        "parameters": reports[0]["model"]["parameters"],
        "macs": reports[0]["model"]["macs"],
    }


def text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table, for people."""
    digits = {"difference": "+.4f", "epochs": ".1f", "train_s": ",.0f", "seeds": "d", "parameters": ",d", "macs": ",d"}
    columns = list(rows[0]) if rows else []
    lines = [[_cell(values[column], digits.get(column, ".4f")) for column in columns] for values in rows]
    return output.table([column.replace("_", " ") for column in columns], lines) if rows else "no run is finished"


def _cell(value: Any, form: str) -> str:
    return value if isinstance(value, str) else "-" if value is None else format(value, form)


if __name__ == "__main__":
    main()
