"""What is printed of a pruning."""

from __future__ import annotations

from collections.abc import Sequence

from nasrec.checks import format_path
from nasrec.reports import text
from nasrec.runs.folder import resume_hint
from nasrec.runs.prune_results import PruneRun, RoundStatistics, Statistic

__all__ = ["closing", "figure", "round_table"]


def closing(run: PruneRun) -> str:
    """A line for each round, and where the files are, or how to go on."""
    lines = f"\n{round_table(run.over_seeds)}\n\n" if run.over_seeds else ""
    if run.interrupted:
        return f"{lines}{resume_hint(run.folder)}"
    where, left_out = format_path(str(run.folder)), run.rounds[-1].left_out
    unread = f"; the last model does not read {', '.join(left_out)}" if left_out else ""
    return (
        f"{lines}each round's graph.ir, model.py and weights.pt are in {where}/seed-*/round-*, report.html beside"
        f"{unread}"
    )


def round_table(rounds: Sequence[RoundStatistics]) -> str:
    """A line for each round; deviations where there are several seeds."""
    header = ["round", "MACs", "of dense", "parameters", "in tables", "valid log loss", "valid AUC", "test log loss",
              "test AUC"]  # fmt: skip
    rows = [
        [
            str(one.number),
            figure(one.macs, ",.0f"),
            figure(one.macs_share, ".1%"),
            figure(one.parameters, ",.0f"),
            figure(one.embedding_parameters, ",.0f"),
            *(
                figure(score, ".5f", one.seeds)
                for score in (one.valid_log_loss, one.valid_auc, one.test_log_loss, one.test_auc)
            ),
        ]
        for one in rounds
    ]
    return text.table(header, rows)


def figure(found: Statistic, form: str, seeds: int = 1) -> str:
    """The mean, with its deviation where there are several seeds; a dash where it is not defined."""
    if found.mean is None or found.std is None:
        return "-"
    return format(found.mean, form) + (f" ± {format(found.std, form)}" if seeds > 1 else "")
