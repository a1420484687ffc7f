"""What a quantisation gives: scores in floats and in few bits, sizes, scales."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nasrec.runs.results import TrainRun

__all__ = ["QuantizeRun", "QuantizedProduct"]


@dataclass(frozen=True)
class QuantizedProduct:
    """A stored product: its node in the graph, what a scheme calls it, and what it is stored in.

    Attributes:
        weight_bits: of the matrix, None for floats.
        act_bits: of what it multiplies, None for floats.
        bytes: of the matrix, its scales included.
        macs: multiply-accumulates a sample.
    """

    node: str
    kind: str
    weight_bits: int | None
    act_bits: int | None
    bytes: int
    macs: int


@dataclass(frozen=True)
class QuantizeRun(TrainRun):
    """A model in few bits, calibrated, and trained in these bits where that was asked for."""

    @property
    def stages(self) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
        """Scores by stage, part of the rows and name: "float" and "calibrated" where it began with trained weights,
        "trained" where it was trained: `stages["calibrated"]["test"]["log_loss"]`."""
        found: Mapping[str, Mapping[str, Mapping[str, Any]]] = self._made["scores"]
        return found

    @property
    def trained(self) -> bool:
        """Was it trained in these bits, and not calibrated alone?"""
        return "config" in self.report

    @property
    def float_bytes(self) -> int:
        """Of matrices, norms and biases in floats."""
        return int(self._made["bytes"]["float"])

    @property
    def quantized_bytes(self) -> int:
        """Of matrices, norms and biases in few bits."""
        return int(self._made["bytes"]["quantised"])

    @property
    def table_bytes(self) -> int:
        """Of the embedding tables, which stay floats."""
        return int(self._made["bytes"]["tables"])

    @cached_property
    def products(self) -> tuple[QuantizedProduct, ...]:
        """Every stored product, in the order of the graph."""
        return tuple(QuantizedProduct(**each) for each in self._made["products"])

    @property
    def scales(self) -> Mapping[str, float]:
        """Of the operands of each node whose activations are quantised; none before the run has ended."""
        found: Mapping[str, float] = self._made.get("scales", {})
        return found

    @property
    def _made(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.report["quantisation"]
        return found
