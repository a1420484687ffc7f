"""Structured pruning, Table 7 of the paper redone: masks and magnitudes, T = 1, 3 and 5 rounds, beside the dense model.

    python -m benchmarks.pruning [--sets twin frappe] [--seeds 3] [--runs runs/pruning] [--show] [--json FILE]

Each set and method is one `nasrec.runs.prune` in a folder of its own, RUNS/MODEL/SET/METHOD: called again, the
benchmark goes on with what was interrupted and trains nothing twice; the dense models are trained once for both
methods. `frappe` needs the files of Frappe_x1 in DIR (--data, default NASREC_DATA). The whole takes about an hour of
one core.

Then the last models and the dense one are timed in turns, one pass of 512 rows in one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import errors_in_one_line, finish, interleaved, machine, setting_of
from benchmarks.frappe import prepared
from nasrec import runs
from nasrec.errors import TrainError
from nasrec.io.atomic import write_text
from nasrec.io.json import json_text
from nasrec.lowering.graphs import features_of
from nasrec.reports import text as output
from nasrec.runs import PruneOptions, settings
from nasrec.runs.data import from_settings
from nasrec.runs.prune import OWN

ROUNDS = (1, 3, 5)
METHODS = ("mask", "magnitude")

SETS: Mapping[str, Mapping[str, Any]] = {
    "twin": {"data": "synth:criteo", "rows": 200_000, "batch_size": 256},
    "frappe": {"batch_size": 256, "embedding_decay": 0.003},
}
"""Rows and budget of each training."""

COMMON: Mapping[str, Any] = {"optimizer": "adagrad", "lr": 0.12, "share": 0.2, "eval_batch_size": 8192}


def main() -> None:
    """Prunes what is not there yet, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=list(SETS), help="default: twin, and frappe where --data is known")
    parser.add_argument("--data", default=os.environ.get("NASREC_DATA"), help="of frappe: prepared, or the raw files")
    parser.add_argument("--model", default="criteo-small", help="a genotype or baseline (criteo-small)")
    parser.add_argument("--seeds", type=int, default=3, help="from 0 (3)")
    parser.add_argument("--rounds", type=int, default=max(ROUNDS), help=f"of pruning ({max(ROUNDS)})")
    parser.add_argument("--runs", type=Path, default=Path("runs/pruning"), help="folder of the runs (runs/pruning)")
    parser.add_argument(
        "--options",
        nargs="+",
        type=setting_of((*settings.KNOWN, *OWN)),
        default=[],
        metavar="NAME=VALUE",
        help="further settings, such as hidden=[16] lr=0.1",
    )
    parser.add_argument("--timings", type=int, default=30, metavar="N", help="timed rounds of each model (30; 0: none)")
    parser.add_argument("--show", action="store_true", help="train nothing, show what is there")
    parser.add_argument("--json", type=Path, help="write the result to this file as well")
    given = parser.parse_args()
    torch.set_num_threads(1)
    sets = given.sets or ["twin", *(["frappe"] if given.data else [])]
    place = given.runs / Path(given.model).stem
    rows = []
    for name in sets:
        if not given.show:
            if name == "frappe" and given.data is None:
                parser.error("frappe: name the rows: --data, or NASREC_DATA")
            with errors_in_one_line():
                budget = {**SETS[name], **dict(given.options)}
                if name == "frappe":
                    budget["data"] = prepared(given.data, given.runs / "data")
                for method in METHODS:
                    prune(given.model, place / name / method, method, given.rounds, given.seeds, budget)
        rows += table(name, place / name, given.timings)
    print(text(rows))
    if given.json is not None:
        used = {"common": dict(COMMON), "sets": {name: dict(SETS[name]) for name in sets}}
        result = {"name": "pruning", "machine": machine(), "model": given.model, "settings": used, "rows": rows}
        write_text(given.json, json_text(result) + "\n", TrainError)


def text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table, for people."""
    if not rows:
        return "no pruning is finished"
    forms = {"macs_percent": ".1f", "parameters": ",d", "us_512_rows": ",d", "faster": ".2f"}
    columns = list(dict.fromkeys(column for row in rows for column in row))
    lines = [[_cell(row.get(column), forms.get(column, ".5f")) for column in columns] for row in rows]
    return output.table([column.replace("_", " ") for column in columns], lines, left=2)


def _cell(value: Any, form: str) -> str:
    return "-" if value is None else format(value, form) if isinstance(value, float) or form == ",d" else str(value)


def prune(model: str, folder: Path, method: str, rounds: int, seeds: int, budget: Mapping[str, Any]) -> None:
    """One pruning, which begins with dense models that the other method has trained."""
    folder.mkdir(parents=True, exist_ok=True)
    for other in METHODS:
        for dense in (folder.parent / other).glob("seed-*/round-0"):
            own = folder / dense.parent.name / "round-0"
            if other != method and not own.exists() and (dense / "report.json").exists():
                shutil.copytree(dense, own)
    values = {**COMMON, **budget, "method": method, "rounds": rounds}
    options = PruneOptions.from_settings(values, train=settings.train_options(values), seeds=seeds)
    finish(runs.prune(model, from_settings(values), folder, options))


def table(name: str, folder: Path, timings: int) -> list[dict[str, Any]]:
    """A line for the dense model and for each method and number of rounds that all seeds have come to."""
    reports = {
        method: json.loads(path.read_text(encoding="utf-8"))
        for method in METHODS
        if (path := folder / method / "report.json").exists()
    }
    models: dict[str, Path] = {}
    rows = []
    for method, found in reports.items():
        for line in found["over_seeds"]:
            number = line["round"]
            if number not in ROUNDS and (number or rows):
                continue
            key = f"{method} {number}" if number else "dense"
            models[key] = folder / method / f"seed-{found['config']['seed']}" / f"round-{number}"
            rows.append(
                {
                    "set": name,
                    "model": key,
                    "seeds": line["seeds"],
                    "macs_percent": round(100 * line["macs_share"]["mean"], 1),
                    "parameters": round(line["parameters"]["mean"]),
                    "test_log_loss": round(line["test_log_loss"]["mean"], 5),
                    "std": round(line["test_log_loss"]["std"], 5),
                    "test_auc": round(line["test_auc"]["mean"], 5),
                    "auc_std": round(line["test_auc"]["std"], 5),
                }
            )
    if timings and models:
        times = latencies(models, timings)
        for row in rows:
            row["us_512_rows"] = round(times[row["model"]])
            row["faster"] = round(times["dense"] / times[row["model"]], 2) if "dense" in times else None
    return rows


def latencies(models: Mapping[str, Path], rounds: int) -> dict[str, float]:
    """Median microseconds of a pass over 512 rows, the models in turns; weights are those of the first seed."""
    rivals: dict[str, Callable[[], object]] = {}
    for name, folder in models.items():
        model = runs.open_run(folder).model()
        features = features_of(model.graph)
        generator = torch.Generator().manual_seed(0)
        dense = torch.randn(512, features.num_dense, generator=generator)
        ids = [torch.randint(count, (512,), generator=generator) for count in features.cardinalities]
        rivals[name] = _pass(model, dense, torch.stack(ids, dim=1))
    return {name: timing.median_us for name, timing in interleaved(rivals, rounds=rounds).items()}


def _pass(model: torch.nn.Module, dense: torch.Tensor, sparse: torch.Tensor) -> Callable[[], object]:
    def forward() -> object:
        with torch.inference_mode():
            return model(dense, sparse)

    return forward


if __name__ == "__main__":
    main()
