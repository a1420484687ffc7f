"""A contest of search algorithms on a table of trained architectures."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from nasrec.reports import text as output

__all__ = ["contest"]


def contest(args: argparse.Namespace, target: Path) -> dict[str, Any]:
    """Evolution against random search; gives the report. `args` are those of `nasrec rank`."""
    from nasrec import rank
    from nasrec.rank import Table
    from nasrec.reports import rank_figures as pictures
    from nasrec.search import RandomSearch, RegularizedEvolution

    table = Table.load(args.truth)
    budget = args.budget or max(2, len(table) // 4)
    size = max(2, budget // 4)
    algorithms = {
        "random search": lambda space, seed: RandomSearch(space, seed, evaluations=50 * budget, batch=1),
        "regularized evolution": lambda space, seed: RegularizedEvolution(
            space, seed, population=size, sample=max(1, size // 2), iterations=50 * budget, children=1
        ),
    }
    result = rank.compare_algorithms(table, algorithms, budget=budget, seeds=args.contest_seeds)
    pictures.draw_contest(result, target / "contest.png")
    final = {name: result.final(name) for name in result.regret}
    advantage = result.advantage("regularized evolution", "random search")
    if not args.json:
        lines = [[name, *(f"{value:.6f}" for value in found)] for name, found in final.items()]
        lines.append(["advantage of evolution", *(f"{value:.6f}" for value in advantage)])
        head = f"{len(table)} architectures, {budget} asked for in each of {args.contest_seeds} searches"
        print(f"{head}\n\n{output.table(('test log loss above the best', 'mean', '95% from', 'to'), lines)}")
    return {
        "command": "rank --contest",
        "settings": {"truth": args.truth},
        "architectures": len(table),
        "budget": budget,
        "seeds": args.contest_seeds,
        "regret": {name: dict(zip(("mean", "low", "high"), found, strict=True)) for name, found in final.items()},
        "advantage_of_evolution": dict(zip(("mean", "low", "high"), advantage, strict=True)),
    }
