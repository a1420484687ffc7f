"""What is printed of a quantisation."""

from __future__ import annotations

from nasrec.checks import format_path
from nasrec.cli.tables.train import figure
from nasrec.reports import text
from nasrec.runs.folder import resume_hint
from nasrec.runs.quantize_results import QuantizeRun

__all__ = ["closing"]

_STAGES = (("float", "float"), ("calibrated", "calibrated"), ("trained in these bits", "trained"))


def closing(run: QuantizeRun) -> str:
    """Scores before and after, bytes, and where the files are, or how to go on."""
    if run.interrupted:
        return resume_hint(run.folder)
    lines = [
        [words, *(figure(scores[part][name]) for part in ("valid", "test") for name in ("log_loss", "auc"))]
        for words, scores in ((words, run.stages[stage]) for words, stage in _STAGES if stage in run.stages)
    ]
    return "\n".join(
        [
            "",
            text.table(("", "valid log loss", "AUC", "test log loss", "AUC"), lines),
            "",
            f"matrices, norms and biases: {run.float_bytes / 2**10:,.1f} KiB in floats, "
            f"{run.quantized_bytes / 2**10:,.1f} KiB quantised; tables stay {run.table_bytes / 2**20:,.2f} MiB of "
            "floats",
            f"graph.ir, weights.pt, model.py and report.html are in {format_path(str(run.folder))}",
        ]
    )
