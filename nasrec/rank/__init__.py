"""How well scores from shared weights rank architectures: agreement with models trained from scratch."""

from __future__ import annotations

from nasrec.rank.agreement import STATISTICS, Agreement, Interval, agreement

__all__ = ["STATISTICS", "Agreement", "Interval", "agreement"]
