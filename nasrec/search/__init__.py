"""Search of a space: algorithms, what they optimise, and a journal that lets them go on after a break."""

from __future__ import annotations

from nasrec.search.algorithm import Algorithm, RandomSearch, RegularizedEvolution, Score
from nasrec.search.candidates import Candidate, CrossingSpace, Form, Space
from nasrec.search.evaluator import Measures
from nasrec.search.journal import Journal, Trial, read_journal
from nasrec.search.objectives import Goal, Limit, Objective, parse_limit, parse_objective
from nasrec.search.run import Found, in_turn, run_search

__all__ = [
    "Algorithm",
    "Candidate",
    "CrossingSpace",
    "Form",
    "Found",
    "Goal",
    "Journal",
    "Limit",
    "Measures",
    "Objective",
    "RandomSearch",
    "RegularizedEvolution",
    "Score",
    "Space",
    "Trial",
    "in_turn",
    "parse_limit",
    "parse_objective",
    "read_journal",
    "run_search",
]
