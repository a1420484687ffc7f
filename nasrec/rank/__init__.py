"""How well supernet scores rank architectures, and tables of trained architectures to benchmark searches on."""

from __future__ import annotations

from nasrec.rank.agreement import STATISTICS, Agreement, Interval, agreement
from nasrec.rank.table import Entry, Table, TableFile
from nasrec.rank.tabular import AlgorithmComparison, TabularSpace, compare_algorithms

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
    "compare_algorithms",
]
