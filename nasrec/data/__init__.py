"""Click logs: raw files to prepared rows in memory, and a synthetic twin of each public data set."""

from __future__ import annotations

from nasrec.data.dataset import Batch, BatchSource, ClickLog, Schema, Splits
from nasrec.data.encode import Encoder
from nasrec.data.logs import load_logs
from nasrec.data.synthetic import Twin, ceiling, synthesize
from nasrec.data.writer import write_criteo_tsv

__all__ = [
    "Batch",
    "BatchSource",
    "ClickLog",
    "Encoder",
    "Schema",
    "Splits",
    "Twin",
    "ceiling",
    "load_logs",
    "synthesize",
    "write_criteo_tsv",
]
