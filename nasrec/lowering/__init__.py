"""Genotype -> graph: the one place that knows what operators, mergers and connections mean."""

from __future__ import annotations

from nasrec.lowering.layout import StoreWidths
from nasrec.lowering.masking import Masking
from nasrec.lowering.network import lower

__all__ = ["Masking", "StoreWidths", "lower"]
