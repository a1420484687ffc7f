"""From a DataFrame to a chip: hand-made models, a search, the chosen model quantised, pruned, mapped, simulated."""

import sys
from pathlib import Path

import pandas as pd

import nasrec_pim
from nasrec import data, runs
from nasrec.baselines import BASELINES


def workflow(frame: pd.DataFrame, out: Path, epochs: int = 1, evaluations: int = 64) -> dict[str, float]:
    """Log losses on the test rows, by what was made; `frame` has a column "label" of 0 and 1."""
    data.prepare_frame(frame, "label", out / "data")
    train = runs.TrainOptions(epochs=epochs, embedding_dim=8)
    found = {}
    for name in BASELINES:
        run = runs.train(name, out / "data", out / name, train)
        found[name] = run.scores["test"]["log_loss"]
    space = runs.SupernetOptions(space="small", blocks=2, dense_widths=(16, 64), sparse_widths=(16,), embedding_dim=8)
    supernet = runs.train_supernet(out / "data", out / "supernet", space)
    how = runs.SearchOptions(algorithm="random", evaluations=evaluations, retrain=2, rate_trials=2, seeds=2)
    chosen = runs.search(supernet.folder, out=out / "search", options=how).chosen
    found["searched"] = chosen.scores["test"]["log_loss"]
    in_8_bits = runs.quantize(chosen.folder, out=out / "quantized")
    found["in 8 bits"] = in_8_bits.scores["test"]["log_loss"]
    pruned = runs.prune(chosen.folder, out=out / "pruned", options=runs.PruneOptions(rounds=1))
    found["pruned"] = pruned.rounds[-1].scores["test"]["log_loss"]
    chip = nasrec_pim.estimate(nasrec_pim.map_graph(chosen.model().graph, nasrec_pim.Hardware.preset("default")))
    print(f"{chip.latency_ns / 1e3:.1f} us and {chip.energy_nJ / 1e3:.1f} uJ a sample, {chip.area_mm2:.1f} mm2")
    faulty = runs.simulate(chosen.folder, options=runs.SimulateOptions(limit=500))
    return {**found, "on a chip": faulty.scores["chip 1"]["log_loss"]}


if __name__ == "__main__":
    log = data.synthesize("frappe", 20_000).log.to_frame()
    print(pd.Series(workflow(log, Path(sys.argv[1] if len(sys.argv) > 1 else "runs/workflow"))).to_string())
