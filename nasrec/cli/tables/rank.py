"""What is printed of ranking studies, and of comparisons of search algorithms."""

from __future__ import annotations

from nasrec.checks import format_path
from nasrec.reports.text import table
from nasrec.runs.folder import resume_hint
from nasrec.runs.rank_results import AlgorithmComparisonRun, RankRun

__all__ = ["comparison_closing", "study_closing"]

_CORRELATIONS = ("pearson", "kendall", "spearman", "kendall_top_half")
_REGRETS = ("regret_top_1", "regret_top_5", "regret_top_15")
_GAINS = ("kendall", "spearman", "kendall_top_half", "regret_top_5")


def study_closing(run: RankRun) -> str:
    """What came of a study, and where the files are; or how to go on."""
    return resume_hint(run.folder) if run.interrupted else f"\n{_study(run)}\n\n{_where(run)}"


def comparison_closing(run: AlgorithmComparisonRun) -> str:
    """What came of a comparison, and where the files are; or how to go on."""
    return resume_hint(run.folder) if run.interrupted else f"{_comparison(run)}\n\n{_where(run)}"


def _study(run: RankRun) -> str:
    """A line for each supernet without and with fine-tuning, then one for each choice and what it gains."""
    lines = [
        [one.name, str(one.finetune), *(str(one.statistics[name]) for name in _CORRELATIONS),
         *(f"{one.statistics[name].value:.4f}" for name in _REGRETS)]
        for one in run.ranked
    ]  # fmt: skip
    ranks = table(("supernet", "fine-tuned", *_words(*_CORRELATIONS, *_REGRETS)), lines)
    lines = [
        [one.trait, f"{one.of} over {one.over}", str(one.pairs), *(str(one.statistics[name]) for name in _GAINS)]
        for one in run.differences
    ]
    gains = table(("what differs", "gain of", "pairs", *_words(*_GAINS)), lines, left=2)
    return (
        f"{run.architectures} architectures; 95 per cent intervals\n\n{ranks}\n\n"
        f"what each choice gains, everything else equal\n\n{gains}"
    )


def _comparison(run: AlgorithmComparisonRun) -> str:
    """A line for each algorithm, then the advantage of evolution."""
    found = {**run.regret, "advantage of evolution": run.advantage}
    lines = [[name, *(f"{value:.6f}" for value in interval)] for name, interval in found.items()]
    return (
        f"{run.architectures} architectures, {run.budget} asked for in each of {run.seeds} searches\n\n"
        f"{table(('test log loss above the best', 'mean', '95% from', 'to'), lines)}"
    )


def _where(run: RankRun | AlgorithmComparisonRun) -> str:
    """Where the files are."""
    return f"report.html, report.json and pictures are in {format_path(str(run.folder))}"


def _words(*names: str) -> list[str]:
    return [name.replace("_", " ") for name in names]
