"""What is printed of supernets, of subnets that are taken out, and of scores by shared weights."""

from __future__ import annotations

import math

from nasrec.checks import format_path
from nasrec.features import FeatureSpec
from nasrec.lowering.masking import Masking
from nasrec.lowering.store import store_parameters
from nasrec.reports.text import plural, table
from nasrec.runs.folder import resume_hint
from nasrec.runs.scoring import SupernetScores
from nasrec.runs.subnet import CHECKED_ROWS, SubnetRun
from nasrec.runs.supernet import SupernetRun
from nasrec.space import SearchSpace

__all__ = ["closing", "described", "extracted", "score_table"]


def described(space: SearchSpace, features: FeatureSpec, masking: Masking) -> str:
    """What a supernet spans and weighs, before it is trained."""
    sizes = {
        name: math.prod(shape)
        for name, shape in store_parameters(space, features, masking, layer_norm=space.layer_norm[0]).items()
    }
    tables = sum(size for name, size in sizes.items() if name.startswith("_embedding."))
    blocks = sum(sizes.values()) - tables
    return (
        f"supernet of {plural(space.num_blocks, 'block')}, {masking}: {', '.join(space.operators)}\n"
        f"  widths        dense {', '.join(map(str, space.dense_widths))}; sparse "
        f"{', '.join(map(str, space.sparse_widths))}\n"
        f"  genotypes     {space.cardinality():.3g}\n"
        f"  parameters    {blocks:,} shared and {tables:,} in embedding tables "
        f"({4 * (blocks + tables) / 2**20:,.1f} MiB, as much again for the optimiser)"
    )


def closing(run: SupernetRun) -> str:
    """Scores, speed, and where the files are; or how to go on."""
    if run.interrupted:
        return resume_hint(run.folder)
    report, scores = run.report, run.valid
    lines = []
    if scores is not None:
        loss, auc = (figure(scores[name]) for name in ("log_loss", "auc"))
        lines = [f"validation, mean of five paths: log loss {loss}, AUC {auc} ({scores['rows']:,} rows)"]
    speed = f"{report['rows']:,} rows in {report['train_s']:.1f} s ({report['rows_per_s']:,.0f} rows/s)"
    where = format_path(str(run.folder))
    return "\n".join([*lines, f"{speed}; {run.path.name}, curves and report.html are in {where}"])


def extracted(run: SubnetRun) -> str:
    """Size and agreement of a subnet, and where the files are."""
    tuning = run.report["finetune"]
    tuned = f"; then its last linear was fine-tuned for {tuning['steps']} steps" if tuning else ""
    return (
        f"{run.report['parameters']:,} parameters; logits differ from the supernet's by at most "
        f"{run.largest_difference:.1g} on {CHECKED_ROWS} rows{tuned}\n"
        f"model.py, genotype.json and weights.pt are in {format_path(str(run.folder))}"
    )


def score_table(found: SupernetScores) -> str:
    """A line for each genotype."""
    lines = [
        [one.label, f"{one.metrics.log_loss:.5f}", f"{one.metrics.auc:.5f}", f"{one.metrics.rows:,}",
         f"{one.seconds:.2f}"]
        for one in found.scores
    ]  # fmt: skip
    return table(("genotype", "log loss", "AUC", "rows", "s"), lines)


def figure(value: float | None) -> str:
    """Five decimals, or a dash where a score is not defined."""
    return "-" if value is None else f"{value:.5f}"
