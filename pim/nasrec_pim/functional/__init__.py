"""Functional simulation: what a model computes on the crossbars that it was costed on."""

from __future__ import annotations

from nasrec_pim.functional.cells import IDEAL, Nonideal
from nasrec_pim.functional.simulate import CrossbarModel, integers_of, programmed_weights

__all__ = ["IDEAL", "CrossbarModel", "Nonideal", "integers_of", "programmed_weights"]
