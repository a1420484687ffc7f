"""Where the time of a model goes: per node, against what this machine can do at best."""

from __future__ import annotations

from nasrec.profiling.api import profile_genotype, profile_graph
from nasrec.profiling.measure import BACKENDS
from nasrec.profiling.peaks import Peaks, measure_peaks
from nasrec.profiling.result import Event, NodeProfile, Profile, Total, What
from nasrec.profiling.roofline import roofline
from nasrec.profiling.trace import chrome_trace

__all__ = [
    "BACKENDS",
    "Event",
    "NodeProfile",
    "Peaks",
    "Profile",
    "Total",
    "What",
    "chrome_trace",
    "measure_peaks",
    "profile_genotype",
    "profile_graph",
    "roofline",
]
