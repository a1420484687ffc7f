"""Synthetic logs: rows with the columns and statistics of a public data set, and clicks that a known teacher draws."""

from __future__ import annotations

from nasrec.data.synthetic.generator import BLOCK_ROWS, Generator, SyntheticLog, synthesize, teacher_score

__all__ = ["BLOCK_ROWS", "Generator", "SyntheticLog", "synthesize", "teacher_score"]
