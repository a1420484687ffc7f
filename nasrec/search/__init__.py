"""Search of a space: algorithms, objectives and limits, and a journal from which interrupted searches resume."""

from __future__ import annotations

from nasrec.search.algorithm import Algorithm, RandomSearch, RegularizedEvolution, Score
from nasrec.search.candidates import Candidate, CrossingSpace, Form, Space
from nasrec.search.evaluator import Evaluator
from nasrec.search.journal import Journal, Trial, read_journal
from nasrec.search.objectives import Goal, Limit, Objective, parse_limit, parse_objective
from nasrec.search.run import SearchResult, run_search, serial

__all__ = [
    "Algorithm",
    "Candidate",
    "CrossingSpace",
    "Evaluator",
    "Form",
    "Goal",
    "Journal",
    "Limit",
    "Objective",
    "RandomSearch",
    "RegularizedEvolution",
    "Score",
    "SearchResult",
    "Space",
    "Trial",
    "parse_limit",
    "parse_objective",
    "read_journal",
    "run_search",
    "serial",
]
