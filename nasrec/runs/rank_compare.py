"""Search algorithms compared on a table of architectures that are trained already: hundreds of searches in seconds."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeAlias, Union

from nasrec.checks import format_path
from nasrec.errors import RunError, TrainError
from nasrec.io.atomic import ensure_directory
from nasrec.runs import folder
from nasrec.runs.rank_options import ComparisonOptions
from nasrec.runs.rank_results import AlgorithmComparisonRun, RankRun
from nasrec.runs.results import load

if TYPE_CHECKING:
    from nasrec.rank import Table

__all__ = ["TableLike", "compare_algorithms"]

_COMMAND = "rank --contest"
_ENDS = ("mean", "low", "high")

TableLike: TypeAlias = Union[str, "os.PathLike[str]", RankRun, "Table"]
"""A table of trained architectures: its file, a ranking study or the folder of one, or the table itself."""


def compare_algorithms(
    table: TableLike, out: str | os.PathLike[str] | None = None, options: ComparisonOptions | None = None
) -> AlgorithmComparisonRun:
    """Runs regularized evolution and random search on a table of trained architectures, with the same budget.

    Args:
        table: see `TableLike`.
        out: the folder; default: one below runs/.
        options: None: the defaults.

    Raises:
        SearchError: the table cannot be read, or the budget is larger than it.
        NasrecError: the folder holds something else, or cannot be written.

    Example:
        >>> found = nasrec.runs.compare_algorithms("runs/rank", "runs/comparison")  # doctest: +SKIP
        >>> found.regret, found.advantage  # doctest: +SKIP
    """
    options = options or ComparisonOptions()
    target = ensure_directory(out if out is not None else folder.default_folder("rank"), TrainError)
    folder.require_command(target, _COMMAND)
    with folder.locked(target):
        opened, path = _open(table)
        try:
            report = _report(opened, path, options)
        except KeyboardInterrupt:
            return AlgorithmComparisonRun(target, {"command": _COMMAND, "interrupted": True})
        folder.write_report(target, report)
    return AlgorithmComparisonRun(target, folder.plain(report))


def _open(table: TableLike) -> tuple[Table, str | None]:
    from nasrec.rank import Table

    if isinstance(table, Table):
        return table, None
    if not isinstance(table, RankRun) and os.path.isdir(table):
        study = load(table)
        if not isinstance(study, RankRun):
            raise RunError(f"{format_path(os.fspath(table))}: is no ranking study; give one, or a table of one")
        table = study
    if isinstance(table, RankRun):
        return table.table(), str(table.table_file)
    return Table.load(table), os.fspath(table)


def _report(table: Table, path: str | None, options: ComparisonOptions) -> dict[str, Any]:
    from nasrec import rank
    from nasrec.environment import environment
    from nasrec.search import RandomSearch, RegularizedEvolution

    budget = options.budget or max(2, len(table) // 4)
    size = max(2, budget // 4)
    evolution, drawing = "regularized evolution", "random search"
    result = rank.compare_algorithms(
        table,
        {
            drawing: lambda space, seed: RandomSearch(space, seed, evaluations=50 * budget, batch=1),
            evolution: lambda space, seed: RegularizedEvolution(
                space, seed, population=size, sample=max(1, size // 2), iterations=50 * budget, children=1
            ),
        },
        budget=budget,
        seeds=options.seeds,
    )
    return {
        "command": _COMMAND,
        "settings": {"truth": path},
        "environment": environment(),
        "architectures": len(table),
        "budget": budget,
        "seeds": options.seeds,
        "regret": {name: dict(zip(_ENDS, result.final(name), strict=True)) for name in result.regret},
        "advantage_of_evolution": dict(zip(_ENDS, result.advantage(evolution, drawing), strict=True)),
        "curves": {
            name: dict(zip(_ENDS, (one.tolist() for one in result.curve(name)), strict=True)) for name in result.regret
        },
    }
