"""Does a co-designed front beat handcrafted designs at equal log loss? The claim of section 5.2, with its assumptions.

    python -m benchmarks.codesign [--data frappe twin] [--seeds 3] [--runs runs/codesign] [--json FILE] [--show]

For each log: a supernet of the co-design space, a search of models, precisions and chips, designs of the front and
handcrafted models trained from scratch with the same settings and seeds, all of it by `nasrec.runs` in folders below
RUNS: called again, the benchmark goes on where it was interrupted, and trains nothing twice. Frappe_x1 is looked for in
NASREC_DATA, a folder with its three files; the twin is synthetic rows in the manner of Criteo.

Printed are, for every trained design and handcrafted model, test log loss over the seeds, what is left of it on
simulated crossbars, and ratios of speed and energy over the handcrafted model on each rival's chip; what the rivals
assume stands below. The paper claims 1.5x speed and 1.8x energy over the handcrafted ReRAM design, 1.1x and 5.2x over
RecNMP.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import finish, machine
from benchmarks.frappe import prepared
from nasrec import runs
from nasrec.data.synthetic.prepared import prepare_synthetic
from nasrec.errors import TrainError
from nasrec.io.atomic import write_text
from nasrec.io.json import json_text, read_json
from nasrec.reports import text as output
from nasrec.train import TrainConfig, TrainingRecipe


@dataclass(frozen=True)
class Setting:
    """One log, and how models are searched and trained on it.

    Attributes:
        title: what it is, for the table.
        supernet: passes over the rows that its supernet is trained for.
        population: of the search.
        generations: of the search.
        epochs: of every training from scratch.
    """

    title: str
    supernet: int
    population: int
    generations: int
    epochs: int

    def supernet_options(self) -> runs.SupernetOptions:
        """How the supernet is trained."""
        return runs.SupernetOptions(
            space="codesign", blocks=3, dense_widths=(16, 32, 64, 128, 256), sparse_widths=(16, 32),
            epochs=self.supernet,
        )  # fmt: skip

    def codesign_options(self, seeds: int, noise_steps: int) -> runs.CodesignOptions:
        """How designs are searched, and the chosen ones trained."""
        return runs.CodesignOptions(
            population=self.population, generations=self.generations, chip_rows=256, valid_rows=10_000, retrain=2,
            recipe=TrainingRecipe(TrainConfig(lr=0.12, epochs=self.epochs)), seeds=seeds, noise_steps=noise_steps,
        )  # fmt: skip


SETTINGS: Mapping[str, Setting] = {
    "frappe": Setting("Frappe_x1, train negatives re-drawn", 4, 64, 12, 3),
    "twin": Setting("synthetic twin of Criteo, 80,000 rows", 2, 48, 8, 1),
}
"""Adagrad as for the supernet; a pass over the twin, whose rows are many for what they say, three over Frappe."""

TWIN_ROWS = 80_000


def main() -> None:
    """Runs what is not there yet and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=list(SETTINGS), choices=list(SETTINGS), help="logs (all)")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each model, seeds from 0 (3)")
    parser.add_argument("--noise-steps", type=int, default=200, help="of fine-tuning for noise, 0 for none (200)")
    parser.add_argument("--runs", type=Path, default=Path("runs/codesign"), help="folder of the runs (runs/codesign)")
    parser.add_argument("--json", type=Path, help="write the tables to this file as well")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of torch")
    parser.add_argument("--show", action="store_true", help="run nothing, show what is there")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    found = {}
    for name in options.data:
        if not options.show:
            run_all(name, SETTINGS[name], options.seeds, options.noise_steps, options.runs / name)
        path = options.runs / name / "search" / "report.json"
        if path.exists():
            found[name] = rows_of(read_json(path, TrainError))
            print(text(SETTINGS[name].title, found[name]))
    if options.json is not None:
        result = {"name": "codesign", "machine": machine(), "tables": found}
        write_text(options.json, json_text(result) + "\n", TrainError)


def run_all(name: str, setting: Setting, seeds: int, noise_steps: int, folder: Path) -> runs.CodesignRun:
    """Everything of one log."""
    supernet = runs.train_supernet(data_of(name, folder), folder / "supernet", setting.supernet_options())
    finish(supernet)
    found = runs.codesign(supernet.folder, out=folder / "search", options=setting.codesign_options(seeds, noise_steps))
    finish(found)
    return found


def data_of(name: str, folder: Path) -> str:
    """A prepared folder."""
    if name == "frappe":
        if "NASREC_DATA" not in os.environ:
            raise SystemExit("name the folder of Frappe_x1's files in NASREC_DATA, or choose --data twin")
        return prepared(os.environ["NASREC_DATA"], folder / "data")
    target = os.fspath(folder / "data")
    prepare_synthetic("criteo", TWIN_ROWS, target)
    return target


def rows_of(report: Mapping[str, Any]) -> dict[str, Any]:
    """What is printed of a report: models, claims, assumptions."""
    chips = {one["name"]: (", ".join(one["roles"]), one["chip"], one["figures"]) for one in report["chosen"]}
    models = []
    for one in report.get("retrain", {}).get("models", []):
        roles, chip, figures = chips.get(one["name"], ("handcrafted", "ISAAC-like", None))
        if figures is None:
            figures = next(r["figures"] for r in report["rivals"] if r["model"] == one["name"])
        loss = one["scores"]["test"]["log_loss"]
        models.append(
            {
                "model": one["name"],
                "role": roles,
                "chip": chip,
                "test log loss": loss["mean"],
                "deviation": loss["std"],
                "macs": one["model"]["macs"],
                "latency us": figures["latency_ns"] / 1e3,
                "energy uJ": figures["energy_nJ"] / 1e3,
                "area mm2": figures["area_mm2"],
                **dict(simulated(one["on_chip"])),
            }
        )
    return {
        "front": len(report["front"]),
        "evaluations": report["evaluations"],
        "models": models,
        "claims": report.get("retrain", {}).get("claims", []),
        "equal": report.get("retrain", {}).get("equal", ""),
        "assumptions": {rival["name"]: rival["assumption"] for rival in report["rivals"]},
    }


def simulated(runs: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, float]]:
    """What the simulated rows lose against the model as trained, means over seeds and chips."""
    for kind, words in (("trained", ""), ("tuned", ", tuned"), ("tuned for noise", ", tuned for noise")):
        found = [one[kind] for one in runs if kind in one]
        if not found:
            continue
        base = [one["trained"]["model"]["log_loss"] for one in runs]
        for name in ("quantised", "converters") if kind == "trained" else ():
            yield name, statistics.fmean(one[name]["log_loss"] for one in found) - statistics.fmean(base)
        chips = [chip["log_loss"] for one in found for chip in one["chips"]]
        yield f"faulty chips{words}", statistics.fmean(chips) - statistics.fmean(base)


def text(title: str, found: Mapping[str, Any]) -> str:
    """The tables, for people."""
    lines = [f"\n{title}: front of {found['front']} designs out of {found['evaluations']:,}"]
    if found["models"]:
        columns = list(found["models"][0])
        cells = [[_cell(name, model.get(name)) for name in columns] for model in found["models"]]
        lines.append(output.table(columns, cells, left=3))
        lines.append("From 'quantised' on: what is added to the log loss of the simulated rows as trained.")
    for claim in found["claims"]:
        rows = [
            [design["name"], row["rival"], f"{design['difference']:+.5f}", f"{design['noise']:.5f}",
             "yes" if design["equal"] else "no", f"{row['speed']:.2f}x", f"{row['energy']:.2f}x", f"{row['area']:.2f}x",
             "yes" if design["equal"] and row["holds"] else "no"]
            for design in claim["designs"]
            for row in design["against"]
        ]  # fmt: skip
        head = (
            "design",
            "chip there",
            "log loss less",
            "noise",
            "equal",
            "faster",
            "less energy",
            "less area",
            "claim holds",
        )
        lines.append(f"\nagainst {claim['handcrafted']}\n{output.table(head, rows, left=2)}")
    lines.append(found["equal"])
    lines += [f"{name}: {assumption}" for name, assumption in found["assumptions"].items()]
    return "\n".join(lines)


_FORMS = {"macs": ",d", "latency us": ".3f", "energy uJ": ".3f", "area mm2": ".2f", "test log loss": ".5f"}


def _cell(name: str, value: Any) -> str:
    return value if isinstance(value, str) else "-" if value is None else format(value, _FORMS.get(name, "+.5f"))


if __name__ == "__main__":
    main()
