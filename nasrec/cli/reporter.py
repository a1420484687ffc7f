"""How the command line shows that a run has begun and how far it has come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nasrec.cli.tables.model import described
from nasrec.runs.reporter import Console

if TYPE_CHECKING:
    from nasrec.features import FeatureSpec
    from nasrec.runs.data import RunData
    from nasrec.runs.model import Architecture
    from nasrec_ir import Graph

__all__ = ["CommandReporter"]


class CommandReporter(Console):
    """Progress on standard error; rows and model on standard output, unless that is for JSON."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet

    def begun(
        self, data: RunData, architecture: Architecture | None, features: FeatureSpec | None, graph: Graph | None
    ) -> None:
        if self._quiet:
            return
        print(data.describe(), flush=True)
        if architecture is not None and features is not None and graph is not None:
            print(described(architecture, features, graph), flush=True)
