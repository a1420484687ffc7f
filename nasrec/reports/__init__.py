"""Pages and pictures of runs: figures, tables and drawings in files that need no other and no network."""

from __future__ import annotations

from nasrec.reports.registry import page_of, write

__all__ = ["page_of", "write"]
