"""Where the time of a model goes: per node, against what this machine can do at best."""

from __future__ import annotations

from nasrec.profiling.peaks import Peaks, measure_peaks

__all__ = ["Peaks", "measure_peaks"]
