"""Models in few bits beside floats: calibrated, and trained further in those bits, over several seeds.

    python -m benchmarks.quantisation [--data DIR] [--rows N] [--seeds 3] [--models kdd-full ...] [--runs DIR]
    python -m benchmarks.quantisation --data DIR --floats runs/frappe --models deepfm dlrm --ways calibrated

Each model is trained in floats by `nasrec.runs.train`, then quantised by `nasrec.runs.quantize` in every scheme, with
calibration alone and with one more pass in these bits. Each run has a folder of its own below RUNS: called again, the
benchmark goes on with what was interrupted and makes nothing twice. DIR (default: NASREC_DATA, else the Criteo twin) is
what `nasrec train --data` takes. With --floats, float models are those that benchmarks.frappe has trained.

Columns: differences of test log loss to the same seed's float model, mean and standard deviation over the seeds. A pass
in few bits is also a pass more of training, so "float, trained on" gives one in floats, as long and at the same rates.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import errors_in_one_line, finish, machine, setting_of
from benchmarks.frappe import SETTINGS
from nasrec import runs
from nasrec.errors import TrainError
from nasrec.io.atomic import write_text
from nasrec.io.json import json_text
from nasrec.reports import text as output
from nasrec.runs import QuantizeOptions, settings
from nasrec.runs.data import from_settings

LAST = {"dlrm": "top.out", "deepfm": "deep.out"} | dict.fromkeys(("dcn_v2", "xdeepfm", "autoint_plus"), "output")
"""The product that reaches the logit, of models that do not call it `final`."""

MIXED = "mixed"

SCHEMES: Mapping[str, QuantizeOptions] = {
    "float": QuantizeOptions(weight_bits=None, act_bits=None),
    "W8A8": QuantizeOptions(),
    "W8A8 per tensor": QuantizeOptions(per_tensor=True),
    "W4A8": QuantizeOptions(weight_bits=4),
    MIXED: QuantizeOptions(weight_bits=4),
    "W4A4": QuantizeOptions(weight_bits=4, act_bits=4),
}
"""Mixed: matrices of 4 bits, the last one of 8."""

WAYS: Mapping[str, int] = {"calibrated": 0, "trained": 1}
"""Passes in few bits."""


def main() -> None:
    """Makes what is not there yet and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("NASREC_DATA", "synth:criteo"), help="rows (NASREC_DATA)")
    parser.add_argument("--rows", type=int, help="of a twin, or read no more of a file")
    parser.add_argument("--models", nargs="+", default=["kdd-full", "criteo-small"], metavar="MODEL")
    parser.add_argument("--schemes", nargs="+", default=list(SCHEMES), choices=list(SCHEMES), metavar="SCHEME")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS), metavar="WAY", help="of the two")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each model, seeds from 0 (3)")
    parser.add_argument("--epochs", type=int, default=1, help="passes of the float models (1)")
    parser.add_argument("--floats", type=Path, metavar="DIR", help="of benchmarks.frappe, instead of training")
    parser.add_argument(
        "--options",
        nargs="+",
        type=setting_of(settings.KNOWN),
        default=[],
        metavar="NAME=VALUE",
        help="further settings of all trainings, such as optimizer=adagrad lr=0.12",
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/quantisation"), help="folder of the runs")
    parser.add_argument("--json", type=Path, help="write the result to this file as well")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of torch")
    parser.add_argument("--show", action="store_true", help="run nothing, show what is there")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if not options.show:
        with errors_in_one_line():
            for seed in range(options.seeds):
                for model in options.models:
                    one_seed(model, seed, options)
    rows = [row for model in options.models for row in rows_of(model, options)]
    print(output.table(HEADER, [[*map(str, row.values())] for row in rows], left=3) if rows else "no run is finished")
    if options.json is not None:
        result = {"name": "quantisation", "machine": machine(), "data": options.data, "rows": rows}
        write_text(options.json, json_text(result) + "\n", TrainError)


HEADER = ("model", "bits", "how", "seeds", "test log loss", "difference", "std", "AUC difference", "KiB of matrices")


def one_seed(model: str, seed: int, options: argparse.Namespace) -> None:
    """A float model, and all that is made of it."""
    values = {"data": options.data, "rows": options.rows, "seed": seed, **dict(options.options)}
    rows, folder, start = from_settings(values), options.runs / model / f"seed-{seed}", float_run(model, seed, options)
    if options.floats is None:
        finish(runs.train(model, rows, start, settings.train_options({"epochs": options.epochs, **values})))
    elif report_of(start) is None:
        return
    else:
        shape = SETTINGS[model].train_options(seed)
        values |= {"embedding_dim": shape.embedding_dim, **shape.model_options}
    for scheme in options.schemes:
        for way in options.ways:
            if scheme != "float" or way != "calibrated":
                chosen = choice(model, scheme, way, {**values, "weights": os.fspath(start)})
                finish(runs.quantize(model, rows, folder / place(scheme, way), chosen))


def choice(model: str, scheme: str, way: str, values: Mapping[str, Any]) -> QuantizeOptions:
    """How a model is quantised, given the settings that all of its runs share."""
    passes = WAYS[way]
    train = settings.train_options(values, **({"epochs": passes} if passes else {}))
    chosen = replace(SCHEMES[scheme], train=train, trains=passes > 0)
    return replace(chosen, bits={LAST.get(model, "final"): 8}) if scheme == MIXED else chosen


def float_run(model: str, seed: int, options: argparse.Namespace) -> Path:
    """Folder of a float model."""
    return (options.floats or options.runs) / model / f"seed-{seed}" / ("" if options.floats else "float")


def place(scheme: str, way: str) -> str:
    """Name of a run's folder."""
    return f"{scheme.replace(' ', '-')}-{way}"


def rows_of(model: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for the float model, and for each scheme and way that some seed has finished."""
    starts = {options.runs / model / f"seed-{n}": float_run(model, n, options) for n in range(options.seeds)}
    floats = {folder: found for folder, start in starts.items() if (found := report_of(start)) is not None}
    if not floats:
        return []
    losses = [found["scores"]["test"]["log_loss"] for found in floats.values()]
    rows = [line(model, "float", "", losses, [], [], None)]
    for scheme in options.schemes:
        for way in WAYS:
            pairs = [
                (f, r) for folder, f in floats.items() if (r := report_of(folder / place(scheme, way))) is not None
            ]
            if pairs:
                losses = [r["scores"]["test"]["log_loss"] for _, r in pairs]
                gaps, areas = (
                    [r["scores"]["test"][name] - f["scores"]["test"][name] for f, r in pairs]
                    for name in ("log_loss", "auc")
                )
                size = pairs[0][1]["quantisation"]["bytes"]["quantised"] / 1024
                words = "trained on" if scheme == "float" else "calibrated" if way == "calibrated" else "and trained on"
                rows.append(line(model, scheme, words, losses, gaps, areas, size))
    return rows


def line(
    model: str, scheme: str, how: str, losses: Sequence[float], gaps: Sequence[float], areas: Sequence[float],
    size: float | None,
) -> dict[str, Any]:  # fmt: skip
    """Cells as text, in the order of the header."""
    spread = f"{statistics.stdev(gaps):.5f}" if len(gaps) > 1 else "-"
    return {
        "model": model,
        "bits": scheme,
        "how": how,
        "seeds": len(losses),
        "log_loss": f"{statistics.fmean(losses):.5f}",
        "difference": f"{statistics.fmean(gaps):+.5f}" if gaps else "-",
        "std": spread,
        "auc_difference": f"{statistics.fmean(areas):+.5f}" if areas else "-",
        "kib": f"{size:,.0f}" if size is not None else "-",
    }


def report_of(folder: Path) -> dict[str, Any] | None:
    """The report of a run that has been scored."""
    path = folder / "report.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found if "test" in found.get("scores", {}) else None


if __name__ == "__main__":
    main()
