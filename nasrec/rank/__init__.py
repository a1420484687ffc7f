"""How well scores from shared weights rank architectures, and a table of trained ones to try searches on."""

from __future__ import annotations

from nasrec.rank.agreement import STATISTICS, Agreement, Interval, agreement
from nasrec.rank.table import Entry, Table, TableFile
from nasrec.rank.tabular import AlgorithmComparison, TabularSpace, contest

__all__ = [
    "STATISTICS",
    "Agreement",
    "AlgorithmComparison",
    "Entry",
    "Interval",
    "Table",
    "TableFile",
    "TabularSpace",
    "agreement",
    "contest",
]
